"""s3transfer over the AWS Common Runtime.

boto3's own `preferred_transfer_client="crt"` speaks TLS whatever the endpoint says, so it reaches no
gateway over plain HTTP; s3transfer can be told.
"""

from __future__ import annotations

import os
from functools import partial

import botocore.session
from driving import Driver, serve
from s3transfer.crt import (
    BotocoreCRTCredentialsWrapper,
    BotocoreCRTRequestSerializer,
    CRTTransferManager,
    create_s3_crt_client,
)

MIB = 1 << 20


class Crt(Driver):
    distributions = ("s3transfer", "awscrt")

    def __init__(self) -> None:
        session = botocore.session.Session()
        credentials = BotocoreCRTCredentialsWrapper(session.get_credentials())
        client = create_s3_crt_client(
            os.environ["AWS_REGION"],
            crt_credentials_provider=credentials.to_crt_credentials_provider(),
            part_size=5 * MIB,
            use_ssl=False,
        )
        endpoint = {"region_name": os.environ["AWS_REGION"], "endpoint_url": os.environ["AWS_ENDPOINT_URL"]}
        serializer = BotocoreCRTRequestSerializer(session, endpoint)
        self.manager = partial(CRTTransferManager, client, serializer)

    def read(self, bucket: str, key: str, file: str) -> None:
        with self.manager() as manager:  # its end, not the result, is when the file is in place
            manager.download(bucket, key, file).result()

    def write(self, bucket: str, key: str, file: str) -> None:
        with self.manager() as manager:
            manager.upload(file, bucket, key).result()

    def write_parts(self, bucket: str, key: str, file: str) -> None:
        self.write(bucket, key, file)

    def delete(self, bucket: str, key: str) -> None:
        with self.manager() as manager:
            manager.delete(bucket, key).result()


if __name__ == "__main__":
    serve(Crt())
