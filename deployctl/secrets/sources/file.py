"""Read secrets from files, which container platforms and systemd credentials provide."""

from __future__ import annotations

from pathlib import Path

from deployctl.secrets.base import SecretError, SecretSource

MAXIMUM_BYTES = 65536  # a larger file isn't a secret


class File(SecretSource):
    """A file: `file:/path`."""

    scheme = "file"
    help = "file:/path reads a file on the worker and the web server, without a line break at its end."

    def check(self, rest: str) -> None:
        if not Path(rest).is_absolute() or "\0" in rest:
            raise SecretError(
                "file: must be followed by an absolute path, such as file:/run/secrets/database_url."
            )

    def read(self, rest: str) -> str:
        path = Path(rest)
        try:
            if not path.is_file():  # a FIFO or device would block the worker
                raise SecretError(f"The secret file {path} does not exist or is not a file. Create it.")
            with path.open("rb") as file:
                content = file.read(MAXIMUM_BYTES + 1)
        except OSError as error:
            raise SecretError(
                f"The secret file {path} cannot be read: {error.strerror}. Check its permissions."
            ) from error
        if len(content) > MAXIMUM_BYTES:
            raise SecretError(
                f"The secret file {path} is larger than {MAXIMUM_BYTES // 1024} KiB. Choose another file."
            )
        try:
            value = content.decode("utf-8").removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            # `from None`: the original error contains the secret.
            raise SecretError(f"The secret file {path} is not UTF-8 text.") from None
        if not value:
            raise SecretError(f"The secret file {path} is empty. Write the secret into it.")
        return value
