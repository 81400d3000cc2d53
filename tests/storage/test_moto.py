from s3bids.testing.conformance import S3Contract


class TestMoto(S3Contract):
    server_fixture = "moto"
    unheld_characters = "\n"  # moto's routes end at a line break
