"""Run the notebooks from top to bottom in an empty folder, and keep what they show; `make notebooks` calls it.

What is kept is the same on every machine: no times, no counters of cells, nothing that was written to stderr.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent


def executed(path: Path) -> nbformat.NotebookNode:
    """Give a notebook with the outputs that it has in an empty folder."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": folder}}, record_timing=False)
        # What is printed may come in one piece or in several.
        client.coalesce_streams = True
        client.execute()
    return cleaned(notebook)


def cleaned(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Take away what is different at every run."""
    notebook.metadata.language_info = {"name": "python"}
    for number, cell in enumerate((cell for cell in notebook.cells if cell.cell_type == "code"), start=1):
        cell.metadata = {}
        cell.execution_count = number
        cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = number
            # What a picture is called has the address of an object in it.
            data = output.get("data", {})
            if "image/png" in data:
                data.pop("text/plain", None)
                output.metadata = {}
    return notebook


def main() -> None:
    """Run all notebooks, or those that are named."""
    for path in [Path(name) for name in sys.argv[1:]] or sorted(FOLDER.glob("*.ipynb")):
        nbformat.write(executed(path), path)


if __name__ == "__main__":
    main()
