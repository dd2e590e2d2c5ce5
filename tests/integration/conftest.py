"""What most integration tests stand on. A module that needs more has a `cluster` of its own."""

from collections.abc import Iterator

import pytest

from tests.integration import _admission, _control_plane


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_admission.Installation]:
    """Podgate as the manifests install it, in a cluster of the module."""
    with (
        _control_plane.control_plane(tmp_path_factory.mktemp("plane")) as plane,
        _admission.installation(plane) as installed,
    ):
        yield installed
