"""Plots with matplotlib, which is in the extra ``plots``: coverage, sizes, and the middle of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..display import size_text
from ..errors import ConfigError, MissingExtraError
from .page import NO_DATATYPE, NO_SESSION, RAW

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .coverage import Coverage
    from .holdings import Column, Share

#: Rows whose names are written beside a plot; more would overlap.
_MOST_NAMES = 60
#: Bars of one plot.
_MOST_BARS = 30
#: Each part of a data set -> what stands for files that have none.
_PARTS = {"datatype": NO_DATATYPE, "derivative": RAW, "session": NO_SESSION}
#: Perceptually even, and readable with every kind of colour blindness.
_COLOURS = "cividis"
_BAR = "#2773a3"


def require_matplotlib() -> None:
    """Raise :class:`~s3bids.errors.MissingExtraError` where matplotlib is not installed, before anything is listed."""
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise MissingExtraError("cannot draw: matplotlib is not installed; pip install 's3bids[plots]'")


def check_part(by: str) -> None:
    """Refuse a word that names no part of a data set."""
    if by not in _PARTS:
        raise ConfigError(f"by is {by!r}; choose from {', '.join(_PARTS)}")


def plot_coverage(coverage: Coverage, *, ax: Axes | None = None) -> Axes:
    """Draw subjects by datatype and suffix, coloured by the number of recordings; see the method of a study."""
    require_matplotlib()
    import numpy as np
    from matplotlib.ticker import MaxNLocator

    holdings = coverage.holdings
    counts = np.zeros((len(holdings.subjects), len(holdings.columns)))
    for row, cells in enumerate(holdings.cells):
        for column, cell in cells.items():
            counts[row, column] = cell.recordings
    high = min(12.0, 1.6 + 0.18 * len(holdings.subjects))
    axes = ax if ax is not None else _new_axes(width=max(4.0, 2 + 0.42 * len(holdings.columns)), height=max(2.5, high))
    # Nothing is no colour: the eye finds gaps at once.
    image = axes.imshow(
        np.ma.masked_equal(counts, 0),
        aspect="auto",
        interpolation="none",
        cmap=_COLOURS,
        vmin=0,
        vmax=counts.max(initial=1),
    )
    axes.set_xticks(range(len(holdings.columns)), [_label(column) for column in holdings.columns], rotation=90)
    if len(holdings.subjects) <= _MOST_NAMES:
        axes.set_yticks(range(len(holdings.subjects)), [_literal(name) for name in holdings.subjects])
    else:
        axes.set_ylabel(f"{len(holdings.subjects):,} subjects")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(f"Coverage of {_literal(coverage.title)}")
    bar = axes.figure.colorbar(image, ax=axes, label="recordings")
    bar.ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    return axes


def plot_sizes(coverage: Coverage, *, by: str = "datatype", ax: Axes | None = None) -> Axes:
    """Draw how large the parts of a data set are; see the method of a study."""
    check_part(by)
    require_matplotlib()
    from matplotlib.ticker import FuncFormatter

    holdings = coverage.holdings
    parts = {"datatype": holdings.datatypes, "derivative": holdings.derivatives, "session": holdings.sessions}
    shares = _shortened(parts[by])
    axes = ax if ax is not None else _new_axes(width=7.0, height=max(1.8, 1.0 + 0.32 * len(shares)))
    places = range(len(shares))
    bars = axes.barh(places, [share.bytes for share in shares], color=_BAR, height=0.7)
    axes.bar_label(
        bars, [f"{size_text(share.bytes)}, {share.files:,}" for share in shares], padding=4, fontsize="small"
    )
    axes.set_yticks(places, [_literal(share.name or _PARTS[by]) for share in shares])
    axes.invert_yaxis()
    axes.margins(x=0.25)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: size_text(max(size, 0))))
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(f"Size of {_literal(coverage.title)} by {by}, and number of files")
    return axes


def plot_middle(image: Any, *, volume: int = 0, title: str = "", ax: Axes | None = None) -> Axes:
    """Draw the three middle slices of an image: sagittal, coronal, axial, as the patient's right is left.

    Only one volume is read, and of an image that is read lazily only what the three slices need.

    Parameters
    ----------
    image
        An image of nibabel with three dimensions or more; its `dataobj` may be lazy.
    volume
        Which volume of an image with four dimensions.
    title
        Written above.
    ax
        Where to draw; by default into a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ConfigError
        If the image has fewer than three dimensions, or no such volume.
    """
    require_matplotlib()
    import numpy as np

    shape = image.shape
    if len(shape) < 3:
        raise ConfigError(f"cannot draw an image of {len(shape)} dimensions; give one of three or four")
    volumes = int(np.prod(shape[3:], dtype=int))
    if not 0 <= volume < volumes:
        raise ConfigError(f"volume is {volume}; the image has {volumes}, counted from 0")
    rest = np.unravel_index(volume, shape[3:], order="F") if len(shape) > 3 else ()
    slices = []
    for view in range(3):
        axis = _axis(image.affine, view)
        place: list[Any] = [slice(None)] * 3
        place[axis] = shape[axis] // 2
        slices.append(_upright(np.asarray(image.dataobj[(*place, *rest)], dtype=float), image.affine, axis, view))
    axes = ax if ax is not None else _new_axes(width=9.0, height=3.4)
    axes.imshow(_beside(slices), cmap="gray", origin="lower", interpolation="none")
    axes.set_axis_off()
    if title:
        axes.set_title(_literal(title))
    return axes


def _axis(affine: Any, view: int) -> int:
    """Give the axis of the voxels along which a view looks: 0 right to left, 1 front to back, 2 top to bottom."""
    import nibabel as nib

    codes = nib.orientations.io_orientation(affine)[:, 0]
    found = [axis for axis, code in enumerate(codes) if code == view]
    return found[0] if found else view


def _upright(picture: Any, affine: Any, axis: int, view: int) -> Any:
    """Turn a slice so that the head is up, and the larger coordinate to the right; shape (rows, columns)."""
    across = [other for other in range(3) if other != axis]
    views = [other for other in range(3) if other != view]
    if _axis(affine, views[0]) != across[0]:
        picture = picture.T
        across.reverse()
    for position, (other, direction) in enumerate(zip(across, views, strict=True)):
        if affine[direction, other] < 0:
            picture = picture[::-1] if position == 0 else picture[:, ::-1]
    if view:
        # Radiological: the patient's right is on the left.
        picture = picture[::-1]
    return picture.T


def _beside(slices: list[Any]) -> Any:
    """Put pictures beside each other, each in the middle of the height and between the same grey values."""
    import numpy as np

    finite = [picture[np.isfinite(picture)] for picture in slices]
    low, high = np.percentile(np.concatenate(finite), [1, 99]) if any(part.size for part in finite) else (0.0, 1.0)
    height = max(picture.shape[0] for picture in slices)
    shown = []
    for picture in slices:
        spare = height - picture.shape[0]
        scaled = np.nan_to_num(np.clip((picture - low) / ((high - low) or 1.0), 0, 1))
        shown.append(np.pad(scaled, ((spare // 2, spare - spare // 2), (1, 1))))
    return np.concatenate(shown, axis=1)


def _new_axes(*, width: float, height: float) -> Axes:
    from matplotlib import pyplot

    _, axes = pyplot.subplots(figsize=(width, height), layout="constrained")
    return axes


def _label(column: Column) -> str:
    parts = (column.derivative, column.datatype, column.suffix or "other")
    return _literal("/".join(part for part in parts if part))


def _literal(text: str) -> str:
    """Give a text that matplotlib shows as it is: two dollar signs would begin a formula."""
    from ..display import plain

    return plain(text).replace("$", r"\$")


def _shortened(shares: tuple[Share, ...]) -> list[Share]:
    from .holdings import Share

    if len(shares) <= _MOST_BARS:
        return list(shares)
    kept, rest = shares[: _MOST_BARS - 1], shares[_MOST_BARS - 1 :]
    files, size = sum(share.files for share in rest), sum(share.bytes for share in rest)
    return [*kept, Share(f"{len(rest):,} others", files, size)]


__all__ = ["check_part", "plot_coverage", "plot_middle", "plot_sizes", "require_matplotlib"]
