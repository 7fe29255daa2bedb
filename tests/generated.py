"""All that is made from the code and stands in documents and manifests, written anew (shell): `python -m tests.generated`."""

from tests.deploy.generated import MADE
from tests.readme import generated_cli, metrics_page
from tests.readme.generated import write_parts


def write() -> None:
    """Each page and file as it is now."""
    write_parts()
    metrics_page.write()
    generated_cli.write()
    for path, text in MADE.items():
        path.write_text(text)


if __name__ == "__main__":
    write()
