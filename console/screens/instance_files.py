"""The files of an instance, folder by folder: read only, and asked for only while somebody looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Vertical

from console.language import _
from console.screens.instance_rows import FILE_COLUMNS, UP, file_note, file_rows
from console.widgets.keyed_table import KeyedTable

if TYPE_CHECKING:
    from console.app import SpotterApp
    from console.operations.files import RemoteFiles
    from remote.jobs import RemoteFolder

TOP = "."


class FilesPane(Vertical):
    """One folder of the box at a time; enter walks into a folder, `..` out of it."""

    app: SpotterApp

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self._box: int | None = None
        self._files: RemoteFiles | None = None
        self._folder: RemoteFolder | None = None
        self._root = ""
        self._asking = ""

    def compose(self) -> ComposeResult:
        """A list."""
        yield KeyedTable(FILE_COLUMNS, id="instance-files-table")

    @property
    def table(self) -> KeyedTable:
        """The list."""
        return self.query_one(KeyedTable)

    @property
    def path_under_cursor(self) -> str:
        """Where the marked file lies on the box; empty without one."""
        key = self.table.cursor_key
        return f"{self._folder.path}/{key}" if self._folder is not None and key not in (None, UP) else ""

    def open_box(self, instance_id: int) -> None:
        """Another instance is meant from now on; nothing is asked before somebody looks."""
        self.let_go()
        self._box, self._folder, self._root, self._asking = instance_id, None, "", ""
        self.table.show((), _("not asked yet"))

    def let_go(self) -> None:
        """Nobody looks any more: the connection ends, what is shown stays."""
        files, self._files = self._files, None
        if files is not None:
            self.app.in_background(files.close, lambda _done: None)

    def look(self) -> None:
        """Ask for the folder on screen; at first for the outermost."""
        self._ask(self._folder.path if self._folder is not None else TOP)

    def _ask(self, path: str) -> None:
        box = self._box
        if box is None or not self.app.live or self._asking:
            return
        self._asking = path
        self.table.show(self.table.rows if self._folder is not None else (), _("asking the box …"))
        app = self.app

        def ask() -> tuple[RemoteFiles, RemoteFolder | None, str]:
            from console.operations.files import RemoteFiles

            files = self._files or RemoteFiles(app.session(), box)
            try:
                return files, files.folder(path), ""
            except Exception as error:  # noqa: BLE001 - shown where the files would be
                return files, None, str(error) or type(error).__name__

        def heard(answer: tuple[RemoteFiles, RemoteFolder | None, str]) -> None:
            files, folder, problem = answer
            self._asking = ""
            if box != self._box or not self.is_attached:
                app.in_background(files.close, lambda _done: None)
                return
            self._files = files
            if folder is None:
                self.say(problem)
            else:
                self._root = self._root or folder.path
                self.show(folder, self._root)

        app.in_background(ask, heard)

    def show(self, folder: RemoteFolder, root: str) -> None:
        """Draw a folder; `root` is the outermost that may be seen."""
        self._folder, self._root = folder, root
        self.table.show(file_rows(folder, root, self.app.now()), file_note(folder))

    def say(self, problem: str) -> None:
        """What is shown stays, with the reason why there is nothing newer."""
        shown = file_rows(self._folder, self._root, self.app.now()) if self._folder is not None else ()
        self.table.show(shown, _("not read: {problem}").format(problem=problem))

    def on_keyed_table_opened(self, message: KeyedTable.Opened) -> None:
        """Enter walks."""
        message.stop()
        if self._folder is None:
            return
        if message.key == UP:
            self._ask(self._folder.path.rpartition("/")[0] or "/")
            return
        entry = next((each for each in self._folder.entries if each.name == message.key), None)
        if entry is not None and entry.kind == "folder":
            self._ask(f"{self._folder.path.rstrip('/')}/{entry.name}")
        elif entry is not None:
            self.app.say(_("Files are only listed here; `spotter pull` and `spotter ssh` bring them."))
