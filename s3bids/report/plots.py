"""Plots with matplotlib, which is in the extra ``plots``: coverage, sizes, and the middle of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..display import files_text, plain, size_text
from ..errors import ConfigError
from ..storage.extras import missing
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
#: The steps of the page, even in lightness and of one hue, so that no kind of colour blindness matters.
_STEPS = ("#def2f5", "#b5e0ec", "#86cae0", "#57b0d2", "#2f92bf", "#2773a3", "#2a567e", "#283c57")
_BAR = "#2773a3"
#: Between two pictures of an image, in mm.
_GAP = 4.0
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")


def require_matplotlib() -> None:
    """Raise MissingPackageError where matplotlib is not installed, before anything is listed."""
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise missing("matplotlib", "plots", "drawing")


def check_part(by: str) -> None:
    """Refuse a word that names no part of a data set."""
    if by not in _PARTS:
        raise ConfigError(f"by is {by!r}; choose from {', '.join(_PARTS)}")


def plot_coverage(coverage: Coverage, *, ax: Axes | None = None) -> Axes:
    """Draw subjects by datatype and suffix, coloured by the number of recordings; see the method of a study."""
    require_matplotlib()
    import numpy as np
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.ticker import MaxNLocator

    holdings = coverage.holdings
    counts = np.zeros((len(holdings.subjects), len(holdings.columns)))
    for row, cells in enumerate(holdings.cells):
        for column, cell in cells.items():
            counts[row, column] = cell.recordings
    height = min(12.0, 2.6 + 0.2 * len(holdings.subjects))
    axes = ax if ax is not None else _new_axes(width=max(4.5, 2.5 + 0.36 * len(holdings.columns)), height=height)
    axes.set_title(f"Coverage of {_literal(coverage.title)}")
    if not counts.size:
        axes.text(0.5, 0.5, "no files of subjects", transform=axes.transAxes, ha="center", va="center")
        axes.set_axis_off()
        return axes
    # Nothing is no colour: the eye finds gaps at once.
    image = axes.imshow(
        np.ma.masked_equal(counts, 0),
        aspect="auto",
        interpolation="none",
        cmap=LinearSegmentedColormap.from_list("s3bids", _STEPS),
        vmin=1,
        vmax=max(4, counts.max(initial=0)),
    )
    axes.set_xticks(range(len(holdings.columns)), [_label(column) for column in holdings.columns], rotation=90)
    if len(holdings.subjects) <= _MOST_NAMES:
        axes.set_yticks(range(len(holdings.subjects)), [_literal(name) for name in holdings.subjects])
        axes.set_yticks(np.arange(0.5, len(holdings.subjects) - 1), minor=True)
        axes.set_xticks(np.arange(0.5, len(holdings.columns) - 1), minor=True)
        axes.grid(which="minor", color="white", linewidth=1)
    else:
        axes.set_ylabel(f"{len(holdings.subjects):,} subjects")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(which="both", length=0)
    bar = axes.figure.colorbar(image, ax=axes, label="recordings")
    bar.ax.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    return axes


def plot_sizes(coverage: Coverage, *, by: str = "datatype", ax: Axes | None = None) -> Axes:
    """Draw how large the parts of a data set are; see the method of a study."""
    check_part(by)
    require_matplotlib()
    holdings = coverage.holdings
    parts = {"datatype": holdings.datatypes, "derivative": holdings.derivatives, "session": holdings.sessions}
    shares = _shortened(parts[by])
    unit = _unit(max((share.bytes for share in shares), default=0))
    axes = ax if ax is not None else _new_axes(width=7.0, height=max(1.8, 1.2 + 0.3 * len(shares)))
    places = range(len(shares))
    bars = axes.barh(places, [share.bytes / 1024**unit for share in shares], color=_BAR, height=0.7)
    texts = [f"{size_text(share.bytes)}, {files_text(share.files)}" for share in shares]
    axes.bar_label(bars, texts, padding=4, fontsize="small")
    axes.set_yticks(places, [_literal(share.name or _PARTS[by]) for share in shares])
    axes.invert_yaxis()
    axes.margins(x=0.3)
    axes.set_xlabel(_UNITS[unit])
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(f"Size of {_literal(coverage.title)} by {by}")
    return axes


def _unit(size: float) -> int:
    """Give the power of 1024 in which a number of bytes is best told."""
    unit = 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size /= 1024
        unit += 1
    return unit


def plot_middle(image: Any, *, volume: int = 0, title: str = "", ax: Axes | None = None) -> Axes:
    """Draw the three middle slices of an image: sagittal, coronal and axial, with the patient's right on the left.

    Lengths are those of the head, whatever the shape of the voxels. Only one volume is read, and of an image that is
    read lazily only what the three slices need.

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
        If the image has fewer than three dimensions, as a surface has, or no such volume.
    """
    require_matplotlib()
    import numpy as np

    # Surfaces have no shape.
    shape = getattr(image, "shape", ())
    if len(shape) < 3:
        what = f"an image of {len(shape)} dimensions" if shape else "a surface: it has no voxels"
        raise ConfigError(f"cannot draw {what}; give an image of three or four dimensions")
    volumes = int(np.prod(shape[3:], dtype=int))
    if not 0 <= volume < volumes:
        raise ConfigError(f"volume is {volume}; the image has {volumes}, counted from 0")
    rest = np.unravel_index(volume, shape[3:], order="F") if len(shape) > 3 else ()
    axes = ax if ax is not None else _new_axes(width=9.0, height=3.6)
    slices = []
    for view in range(3):
        axis = _axis(image.affine, view)
        place: list[Any] = [slice(None)] * 3
        place[axis] = shape[axis] // 2
        slices.append(_upright(_grey(image.dataobj[(*place, *rest)]), image.affine, axis, view))
    _draw_beside(axes, slices)
    if title:
        axes.set_title(_literal(title))
    return axes


def _axis(affine: Any, view: int) -> int:
    """Give the axis of the voxels along which a view looks: 0 right to left, 1 front to back, 2 top to bottom."""
    import nibabel as nib

    codes = nib.orientations.io_orientation(affine)[:, 0]
    found = [axis for axis, code in enumerate(codes) if code == view]
    return found[0] if found else view


def _grey(values: Any) -> Any:
    """Give one number for each voxel: of complex ones the magnitude, of colours the mean of red, green and blue."""
    import numpy as np

    found = np.asarray(values)
    if found.dtype.names:
        return np.mean([found[name] for name in found.dtype.names if name != "A"], axis=0)
    return np.abs(found).astype(float) if np.iscomplexobj(found) else found.astype(float)


def _upright(picture: Any, affine: Any, axis: int, view: int) -> tuple[Any, float, float]:
    """Turn a slice so that the head is up and the patient's right on the left.

    Returns
    -------
    numpy.ndarray, float, float
        The picture, shape (rows from below, columns from the left), and its width and height in mm.
    """
    import numpy as np

    across = [other for other in range(3) if other != axis]
    directions = [other for other in range(3) if other != view]
    if _axis(affine, directions[0]) != across[0]:
        picture = picture.T
        across.reverse()
    if affine[directions[0], across[0]] < 0:
        picture = picture[::-1]
    if affine[directions[1], across[1]] < 0:
        picture = picture[:, ::-1]
    if view:
        # Radiological: what grows to the right of the patient grows to the left of the picture.
        picture = picture[::-1]
    lengths = [float(np.linalg.norm(affine[:3, other])) or 1.0 for other in across]
    return picture.T, picture.shape[0] * lengths[0], picture.shape[1] * lengths[1]


def _draw_beside(axes: Axes, slices: list[tuple[Any, float, float]]) -> None:
    """Draw pictures beside each other, each in the middle of the height and between the same grey values."""
    import numpy as np

    values = np.concatenate([picture[np.isfinite(picture)] for picture, _, _ in slices])
    low, high = np.percentile(values, [1, 99]) if values.size else (0.0, 1.0)
    tallest = max(height for _, _, height in slices)
    left = 0.0
    for picture, width, height in slices:
        below = (tallest - height) / 2
        place = (left, left + width, below, below + height)
        axes.imshow(picture, cmap="gray", origin="lower", extent=place, vmin=low, vmax=high, interpolation="none")
        left += width + _GAP
    axes.set(xlim=(0, left - _GAP), ylim=(0, tallest), xticks=[], yticks=[], facecolor="black")
    axes.spines[:].set_visible(False)


def _new_axes(*, width: float, height: float) -> Axes:
    from matplotlib import pyplot

    _, axes = pyplot.subplots(figsize=(width, height), layout="constrained")
    return axes


def _label(column: Column) -> str:
    parts = (column.derivative, column.datatype, column.suffix or "other")
    return _literal("/".join(part for part in parts if part))


def _literal(text: str) -> str:
    """Give a text that matplotlib shows as it is: two dollar signs would begin a formula."""
    return plain(text).replace("$", r"\$")


def _shortened(shares: tuple[Share, ...]) -> list[Share]:
    from .holdings import Share

    if len(shares) <= _MOST_BARS:
        return list(shares)
    kept, rest = shares[: _MOST_BARS - 1], shares[_MOST_BARS - 1 :]
    files, size = sum(share.files for share in rest), sum(share.bytes for share in rest)
    return [*kept, Share(f"{len(rest):,} others", files, size)]


__all__ = ["check_part", "plot_coverage", "plot_middle", "plot_sizes", "require_matplotlib"]
