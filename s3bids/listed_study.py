"""A study that is open: its subjects, its derivatives, and the catalog of a selection."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from .bids.layouts import DERIVATIVES, Layout
from .catalog import Catalog, joined
from .choice import Choosing, choosing, told
from .dataset import PARTICIPANTS, DataSet
from .downloading import check_suffix
from .errors import ConfigError
from .narrowing import cohort
from .overview import count_recordings, derivative_overview
from .selection import (
    ALL,
    FILES,
    DerivativeChoice,
    Selection,
    SubjectChoice,
    agnostic_rule,
    as_index,
    check_choice,
    choose_subjects,
    derivative_patterns,
)
from .storage.registry import open_storage
from .subject import KeyTree, S3BIDSSubject, SubjectOwner

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

    from .storage.base import Storage
    from .storage.params import LocalFSParams, S3Params
    from .study import S3BIDSStudy


class ListedStudy(SubjectOwner):
    """What a study is and lists; :class:`~s3bids.study.S3BIDSStudy` adds the downloads, and describes the arguments."""

    def __init__(
        self,
        study_id: str,
        bucket: str,
        s3_prefix: str = "",
        subjects: SubjectChoice = None,
        anon: bool = True,  # noqa: FBT001, FBT002 - the signature of s3bids 0.1.7
        use_participants_tsv: bool = False,  # noqa: FBT001, FBT002
        random_seed: int | None = None,
        _subject_class: type[S3BIDSSubject] = S3BIDSSubject,
        *,
        storage: Storage | S3Params | LocalFSParams | None = None,
        layout: str = Layout.NESTED,
        participants: str = PARTICIPANTS,
    ) -> None:
        _check_types(
            (("study_id", study_id, str), ("bucket", bucket, str), ("s3_prefix", s3_prefix, str)),
            (("participants", participants, str),),
            (("anon", anon, bool), ("use_participants_tsv", use_participants_tsv, bool)),
        )
        seed = None if random_seed is None else as_index(random_seed)
        if random_seed is not None and seed is None:
            raise TypeError(f"random_seed must be an integer or None, not {type(random_seed).__name__}")
        if s3_prefix and not s3_prefix.strip("/"):
            raise ConfigError(f"s3_prefix is {s3_prefix!r}; use '' for the top of the bucket")
        if "/" in bucket:
            raise ConfigError(f"bucket is {bucket!r}; give the bucket's name alone, and the rest as s3_prefix")
        check_choice(subjects, seed)
        if layout not in list(Layout):
            raise ConfigError(f"layout is {layout!r}; choose from {', '.join(Layout)}")
        self._study_id = study_id
        self._anon = anon
        self._use_participants_tsv = use_participants_tsv
        self._random_seed = seed
        self._subject_class = _subject_class
        place = open_storage(bucket, storage, anon=anon)
        self._data_set = DataSet(place, s3_prefix.strip("/"), Layout(layout), participants.strip("/"))
        #: None chooses the first subject; a cohort is then drawn from all.
        self._chooses_subjects = subjects is not None
        self._known: dict[str, Any] = {}
        self._local_directories: list[str] = []
        #: The study file's values, if the study was opened from one; a room above knows their type.
        self._config: object = None
        #: What that file says of downloads; calls that say nothing of it obey.
        self._said: Mapping[str, Any] = {}
        self._root = self._data_set.root()
        self._all_subjects = self._list_all_subjects()
        chosen = choose_subjects(self._all_subjects, subjects, seed)
        self._subjects = [self._get_subject(subject) for subject in chosen]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(study_id={self.study_id}, bucket={self.bucket}, s3_prefix={self.s3_prefix})"

    @property
    def study_id(self) -> str:
        """The name of the study."""
        return self._study_id

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        return self._data_set.storage.bucket

    @property
    def s3_prefix(self) -> str:
        """The root of the data set in the bucket, without outer slashes."""
        return self._data_set.prefix

    @property
    def storage(self) -> Storage:
        """Where the study is."""
        return self._data_set.storage

    @property
    def layout(self) -> Layout:
        """How raw data and derivatives are arranged."""
        return self._data_set.layout

    @property
    def anon(self) -> bool:
        """Whether requests are unsigned."""
        return self._anon

    @property
    def use_participants_tsv(self) -> bool:
        """Whether only subjects of the participant table are considered."""
        return self._use_participants_tsv

    @property
    def random_seed(self) -> int | None:
        """The seed that shuffled the subjects."""
        return self._random_seed

    @property
    def subjects(self) -> list[S3BIDSSubject]:
        """The chosen subjects, in the order of the selection."""
        return self._subjects

    @property
    def subject_count(self) -> int:
        """How many subjects the study has, chosen or not."""
        return len(self._all_subjects)

    @property
    def local_directories(self) -> list[str]:
        """The directories that files were downloaded to, in order of use."""
        return self._local_directories

    @property
    def derivative_types(self) -> list[str]:
        """The derivatives: ``bucket/prefix/derivatives/name``, or the name alone with a subject-first layout.

        Sorted; listed on first use.
        """
        return self._get_derivative_types()

    @property
    def non_sub_s3_keys(self) -> KeyTree:
        """What lies at the root and belongs to no subject, as ``bucket/key``; directories stand for their content.

        ``{'raw': [...], 'derivatives': [[...], ...]}`` with one inner list for each of :attr:`derivative_types`; with a
        subject-first layout one flat list. Listed on first use.
        """
        if "non_sub" not in self._known:
            self._known["non_sub"] = self._get_non_subject_s3_keys()
        found: KeyTree = self._known["non_sub"]
        return found

    def cohort(
        self,
        *,
        where: str | None = None,
        sample: int | None = None,
        balance: str | None = None,
        random_seed: int | None = None,
        require: str | Sequence[str] | None = None,
    ) -> list[str]:
        """Choose subjects by the participant table and by what they have, without downloading anything.

        Parameters
        ----------
        where, sample, balance, random_seed, require
            As in :meth:`download`.

        Returns
        -------
        list of str
            Ids with their prefix; `subjects` of a new study takes them.
        """
        given = {"where": where, "sample": sample, "balance": balance, "require": require}
        choice = choosing(random_seed=random_seed, **told(given, self._said))
        return cohort(self, choice, self._candidates(self.subjects, choice))

    def coverage(self) -> pd.DataFrame:
        """Count what the chosen subjects have: raw recordings by datatype and suffix.

        :meth:`plot_coverage` and the page of :meth:`write_report` show these numbers, and files and bytes too.

        Returns
        -------
        pandas.DataFrame
            One row a subject, one column for each ``datatype/suffix`` such as ``anat/T1w``, both sorted; numbers of
            recordings. Files of one stem, and the members of a directory such as ``.ds/``, are one recording.
        """
        import pandas as pd

        counts = count_recordings(self, [subject.subject_id for subject in self.subjects])
        columns = sorted({column for found in counts.values() for column in found})
        rows = [[found.get(column, 0) for column in columns] for found in counts.values()]
        return pd.DataFrame(rows, index=pd.Index(counts, name="subject"), columns=columns, dtype="int64").sort_index()

    def derivative_overview(self) -> pd.DataFrame:
        """Count the derivatives: subjects, files and bytes of each, and whether it has a description.

        Lists ``derivatives/`` whole. Derivatives of derivatives have a row of their own, named ``qsiprep/dlqc``.

        Returns
        -------
        pandas.DataFrame
            One row a derivative, sorted by name: ``subjects``, ``files``, ``bytes``, ``is_described``.
        """
        import pandas as pd

        found = derivative_overview(self)
        rows = [(len(one.subjects), one.files, one.bytes, one.is_described) for one in found]
        names = pd.Index([one.name for one in found], name="derivative", dtype="object")
        return pd.DataFrame(rows, index=names, columns=["subjects", "files", "bytes", "is_described"])

    def to_frame(self, include_derivs: DerivativeChoice = False) -> pd.DataFrame:  # noqa: FBT002 - as download has it
        """Give the catalog as a table: the chosen subjects' raw files and all files of the whole study.

        Parameters
        ----------
        include_derivs
            Derivatives to list too.

        Returns
        -------
        pandas.DataFrame
            One row an object; see :meth:`s3bids.catalog.Catalog.to_frame` for the columns.
        """
        return self._catalog(self.subjects, self._selection(self.subjects, ALL, include_derivs)).to_frame()

    def headers(self, *, suffix: str | None = None, filters: object = None, where: str | None = None) -> pd.DataFrame:
        """Read the headers of the chosen subjects' raw images into a table, to look at them before a download.

        Costs the listing and one request of at most 64 KB for each image, many at once.

        Parameters
        ----------
        suffix
            Only images whose names end with this text, such as ``bold.nii.gz``.
        filters, where
            Only images of such names, and of such subjects, as in :meth:`download`.

        Returns
        -------
        pandas.DataFrame
            One row an image, sorted by path: ``path``, ``subject``, ``session``, ``datatype``, ``suffix``, ``bytes``,
            ``format``, ``dtype``, ``shape``, ``volumes``, ``x_mm``, ``y_mm``, ``z_mm``, ``tr_s`` (seconds),
            ``orientation``, and ``error``: why an image could not be read.
        """
        from .header_table import header_frame, header_rows

        return header_frame(header_rows(self, suffix=suffix, filters=filters, where=where))

    def dataset_catalog(self, *, derivatives: DerivativeChoice = False, suffix: str | None = None) -> Catalog:
        """List what :meth:`download_dataset` would bring."""
        return self._catalog(self.subjects, self._selection(self.subjects, **self._dataset_choice(derivatives, suffix)))

    def _candidates(self, subjects: Sequence[S3BIDSSubject], choice: Choosing) -> list[str]:
        """Give the subjects that may be chosen: all of them if the study was opened without choosing any."""
        if choice.chooses_subjects and not self._chooses_subjects and subjects is self.subjects:
            return self._all_subjects
        return [subject.subject_id for subject in subjects]

    def _candidate_selection(self, choice: Choosing, suffix: str | None) -> Selection:
        """Give the raw files of the subjects that may be chosen."""
        return replace(
            self._selection(self.subjects, root=False, suffix=suffix),
            subjects=tuple(self._candidates(self.subjects, choice)),
        )

    def _subjects_of(self, ids: Sequence[str]) -> list[S3BIDSSubject]:
        known = {subject.subject_id: subject for subject in self.subjects}
        return [known.get(subject) or self._get_subject(subject) for subject in ids]

    @property
    def _derivative_names(self) -> list[str]:
        if "derivatives" not in self._known:
            self._known["derivatives"] = self._data_set.derivative_names(self._root)
        names: list[str] = self._known["derivatives"]
        return names

    def _derivative_type(self, name: str) -> str:
        if self.layout is Layout.SUBJECT_FIRST:
            return name
        return f"{self.bucket}/{self._data_set.key(f'{DERIVATIVES}/{name}')}"

    def _get_derivative_types(self) -> list[str]:
        return [self._derivative_type(name) for name in self._derivative_names]

    def _get_subject(self, subject_id: str) -> S3BIDSSubject:
        return self._subject_class(subject_id=subject_id, study=cast("S3BIDSStudy", self))

    def _list_all_subjects(self) -> list[str]:
        """Give all subjects: the directories, and with the participant table those that it lists too."""
        if self.use_participants_tsv:
            return self._data_set.listed_participants(self._root)
        return self._root.subjects

    def _get_non_subject_s3_keys(self) -> KeyTree:
        data_set, root = self._data_set, self._root
        raw = data_set.non_subject_keys("", root, leave_out=DERIVATIVES)
        if DERIVATIVES not in root.directories:
            return {"raw": raw, "derivatives": []}
        if self.layout is Layout.SUBJECT_FIRST:
            return {"raw": raw, "derivatives": data_set.non_subject_keys(DERIVATIVES, *data_set.levels([DERIVATIVES]))}
        places = [f"{DERIVATIVES}/{name}" for name in self._derivative_names]
        levels = data_set.levels(places)
        return {
            "raw": raw,
            "derivatives": [
                data_set.non_subject_keys(place, level) for place, level in zip(places, levels, strict=True)
            ],
        }

    def _patterns(self, include: DerivativeChoice) -> tuple[str, ...]:
        patterns = derivative_patterns(include)
        if any("/" in pattern for pattern in patterns):
            # An element of derivative_types stands for its own name; listing them is needed only to know it.
            return derivative_patterns(include, self.derivative_types)
        return patterns

    def _selection(
        self,
        subjects: Sequence[S3BIDSSubject],
        root: object,
        derivatives: DerivativeChoice = False,  # noqa: FBT002 - one of the choices that users have
        derivative_root: tuple[str, ...] | str = (),
        suffix: str | None = None,
    ) -> Selection:
        check_suffix(suffix)
        ids = tuple(subject.subject_id for subject in subjects)
        rule = FILES if root == FILES else agnostic_rule(root)
        return Selection(ids, self._patterns(derivatives), rule, derivative_root, suffix)

    def _dataset_choice(self, derivatives: DerivativeChoice, suffix: str | None) -> dict[str, Any]:
        chosen = {subject.subject_id for subject in self.subjects}
        rule = ALL if chosen == set(self._all_subjects) else FILES
        return {"root": rule, "derivatives": derivatives, "derivative_root": rule, "suffix": suffix}

    def _catalog(self, subjects: Sequence[S3BIDSSubject], selection: Selection) -> Catalog:
        """List what a selection wants, as it is now; a subclass of the subject may have chosen keys of its own."""
        own, listed = self._own_keys(subjects, selection)
        self._look_again(listed)
        return self._whole(own, listed)

    def _parts(self, subjects: Sequence[S3BIDSSubject], selection: Selection) -> Catalog | Iterable[Catalog]:
        """List what a selection wants, in parts as they come where nothing has to be known of the whole first."""
        own, listed = self._own_keys(subjects, selection)
        self._look_again(listed)
        if own or selection.can_miss or self._root.has_clash:
            return self._whole(own, listed)
        return self._data_set.parts(listed, self._root)

    def _whole(self, own: list[str], listed: Selection) -> Catalog:
        catalog = self._data_set.catalog(listed, self._root)
        if not own:
            return catalog
        return joined([catalog, self._data_set.key_catalog(own)], self.s3_prefix, self.layout)

    def _own_keys(self, subjects: Sequence[S3BIDSSubject], selection: Selection) -> tuple[list[str], Selection]:
        """Give the keys that subjects of a subclass chose, and the selection of the other subjects."""
        chosen = {subject.subject_id: subject._chosen_keys(selection.derivatives) for subject in subjects}
        own = [key for keys in chosen.values() for key in keys or () if key.endswith(selection.suffix or "")]
        listed = tuple(subject for subject, keys in chosen.items() if keys is None)
        return own, replace(selection, subjects=listed)

    def _look_again(self, selection: Selection) -> None:
        """List the root as it is now, where what lies there is wanted; one flat listing brings it anyway."""
        if (selection.root or selection.derivatives) and not self._data_set.is_everything(selection, self._root):
            self._root = self._data_set.root()


def _check_types(*groups: tuple[tuple[str, object, type], ...]) -> None:
    for name, value, kind in (item for group in groups for item in group):
        if not isinstance(value, kind):
            raise TypeError(f"{name} must be {kind.__name__}, not {type(value).__name__}")
