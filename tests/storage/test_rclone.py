from s3bids.errors import StorageError
from s3bids.testing.conformance import FilesRig, S3Contract


class TestRclone(FilesRig, S3Contract):
    server_fixture = "rclone"
    honours_if_match = False
    unheld_characters = "\t\n\r\x01\x7f"  # listed as pictures of themselves, and found by no name
    unheld_key_error = StorageError  # 400 InvalidArgument
    clash_error = StorageError  # 500 InternalError

    @property
    def root(self):
        return self.server.root

    def changed(self):
        self.server.refresh()
