import gzip
import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pooch
import pytest

from laconic.errors import DataError
from laconic.zoo.__main__ import main
from laconic.zoo.data import CIFAR10_ARCHIVE, read_cifar10, read_mnist
from laconic.zoo.locate import SOURCES, Source, locate

NAME = "mnist/t10k-labels-idx1-ubyte.gz"
CONTENT = b"what the public home serves"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, with `$LACONIC_DATA` unset."""
    monkeypatch.delenv("LACONIC_DATA", raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    return tmp_path / "cache" / "laconic"


@pytest.fixture
def folder(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that `$LACONIC_DATA` names."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("LACONIC_DATA", str(folder))
    return folder


@pytest.fixture
def requests_served(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A server on this machine that stands for the public home of `NAME`; the paths it served."""
    served: list[str] = []

    class Home(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Home) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/labels.gz"
        monkeypatch.setitem(SOURCES, NAME, Source(url, hashlib.sha256(CONTENT).hexdigest()))
        yield served
        server.shutdown()
        thread.join()


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each public home is a port of this machine where nothing listens."""
    for name, source in SOURCES.items():
        monkeypatch.setitem(SOURCES, name, source._replace(url="http://127.0.0.1:9/file"))


def test_a_file_in_the_data_folder_is_taken_without_a_download(
    folder: Path, requests_served: list[str]
):
    path = folder / NAME
    path.parent.mkdir()
    path.write_bytes(b"a person's own copy, packed otherwise")
    assert locate(NAME) == path
    assert requests_served == []


def test_a_file_is_downloaded_once_and_then_taken_from_the_cache(
    cache: Path, requests_served: list[str]
):
    assert locate(NAME) == cache / NAME
    assert (cache / NAME).read_bytes() == CONTENT
    assert locate(NAME) == cache / NAME
    assert requests_served == ["/labels.gz"]


def test_a_file_that_the_data_folder_lacks_is_downloaded(
    folder: Path, cache: Path, requests_served: list[str]
):
    assert locate(NAME) == cache / NAME
    assert len(requests_served) == 1


def test_a_download_with_another_hash_is_refused_and_not_kept(
    cache: Path, requests_served: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(SOURCES, NAME, SOURCES[NAME]._replace(sha256="0" * 64))
    with pytest.raises(DataError, match="hash"):
        locate(NAME)
    assert [path for path in cache.rglob("*") if path.is_file()] == []


@pytest.mark.usefixtures("no_network")
def test_a_missing_file_names_the_file_the_variable_and_the_command(cache: Path):
    with pytest.raises(DataError) as caught:
        locate(NAME)
    message = str(caught.value)
    assert message.startswith(f"the file {NAME} is missing: LACONIC_DATA is not set, ")
    assert f"not in the cache {cache}" in message
    assert "run `python -m laconic.zoo mnist`" in message


@pytest.mark.usefixtures("no_network")
def test_a_file_missing_in_the_data_folder_names_the_folder(folder: Path):
    with pytest.raises(DataError, match=f"it is not in LACONIC_DATA={folder}"):
        locate(NAME)


def test_a_variable_that_names_no_folder_is_an_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LACONIC_DATA", "/nowhere/at/all")
    with pytest.raises(DataError, match="LACONIC_DATA is '/nowhere/at/all', but there is no such"):
        locate(NAME)


@pytest.mark.usefixtures("cache")
def test_a_file_without_a_public_home_says_so():
    with pytest.raises(DataError, match=r"cifar10_models/x\.safetensors is missing: LACONIC_DATA "):
        locate("cifar10_models/x.safetensors")


def write_mnist(folder: Path) -> None:
    """Files of the right form: black images, all labels 3."""
    (folder / "mnist").mkdir()
    for name, count in [("train", 60_000), ("t10k", 10_000)]:
        size = count.to_bytes(4, "big")
        shape = b"\0\0\x08\x03" + size + (28).to_bytes(4, "big") * 2
        for kind, content in [
            ("images-idx3", shape + bytes(count * 784)),
            ("labels-idx1", b"\0\0\x08\x01" + size + b"\3" * count),
        ]:
            path = folder / f"mnist/{name}-{kind}-ubyte.gz"
            path.write_bytes(gzip.compress(content, compresslevel=1))


def test_mnist_is_read(folder: Path):
    write_mnist(folder)
    splits = read_mnist()
    assert splits.train_images.shape == (60_000, 1, 28, 28)
    assert splits.test_images.shape == (10_000, 1, 28, 28)
    assert splits.train_labels.unique().tolist() == [3]
    assert splits.test_labels.shape == (10_000,)


GOOD_HEADER = b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (60_000, 28, 28))
DAMAGES = {
    "no gzip file": (b"PK\3\4 a zip file", "it is no whole gzip file"),
    "empty": (b"", "it begins with , not with 00000803"),
    "cut short": (gzip.compress(GOOD_HEADER)[:-6], "it is no whole gzip file"),
    "wrong magic": (gzip.compress(b"\0\0\x0d\x03" + bytes(20)), "it begins with 00000d03"),
    "wrong count": (gzip.compress(GOOD_HEADER[:7] + b"\x61" + bytes(20)), "it begins with"),
    "too little": (gzip.compress(GOOD_HEADER + bytes(99)), "to 115 bytes, not 47040016"),
    "too much": (gzip.compress(GOOD_HEADER + bytes(47_040_001), 1), "to more bytes, not 47040016"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_mnist_file_is_refused(damage: str, folder: Path):
    content, message = DAMAGES[damage]
    path = folder / "mnist/train-images-idx3-ubyte.gz"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"train-images-idx3-ubyte.gz is damaged: .*{message}"):
        read_mnist()


def test_a_label_above_9_is_refused(folder: Path):
    write_mnist(folder)
    labels = b"\0\0\x08\x01" + (60_000).to_bytes(4, "big") + b"\x0a" * 60_000
    (folder / "mnist/train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    with pytest.raises(DataError, match="a label is 10; there are ten classes"):
        read_mnist()


def test_a_cifar10_part_that_is_no_array_file_is_refused(folder: Path):
    (folder / "cifar10").mkdir()
    (folder / "cifar10/train_1.npz").write_bytes(b"PK\3\4 no whole zip file")
    with pytest.raises(DataError, match=r"train_1\.npz is damaged: it holds no arrays"):
        read_cifar10()


def test_a_cifar10_part_with_pickles_is_refused(folder: Path):
    (folder / "cifar10").mkdir()
    objects = np.array([{}], dtype=object)
    np.savez(folder / "cifar10/train_1.npz", residual=objects, label=objects)
    with pytest.raises(DataError, match="allow_pickle=False"):
        read_cifar10()


def test_a_cifar10_part_of_another_shape_is_refused(folder: Path):
    (folder / "cifar10").mkdir()
    small = np.zeros((3, 4, 32, 32), np.uint8)
    np.savez(folder / "cifar10/train_1.npz", residual=small, label=small[0, :, 0, 0])
    with pytest.raises(DataError, match=r"residual is uint8 \(3, 4, 32, 32\)"):
        read_cifar10()


@pytest.mark.usefixtures("no_network")
def test_a_missing_cifar10_part_is_named(folder: Path):
    (folder / "cifar10").mkdir()
    (folder / "cifar10/test.npz").write_bytes(b"")
    with pytest.raises(DataError, match=r"the file cifar10/train_1\.npz is missing"):
        read_cifar10()


def write_archive(path: Path, members: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def test_the_published_cifar10_archive_is_read(folder: Path):
    records = np.zeros((10_000, 3073), np.uint8)
    records[:, 0] = np.arange(10_000) % 10
    records[7, 1 + 1024 + 32 * 2 + 5] = 77  # green, row 2, column 5 of image 7
    content = records.tobytes()
    names = [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]
    write_archive(folder / CIFAR10_ARCHIVE, {"readme.html": b"", **dict.fromkeys(names, content)})
    splits = read_cifar10()
    assert splits.train_images.shape == (50_000, 3, 32, 32)
    assert splits.train_images.nonzero().tolist() == [[7 + 10_000 * n, 1, 2, 5] for n in range(5)]
    assert splits.test_images[7, 1, 2, 5] == 77
    assert splits.test_labels[:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        pytest.param({}, "it has no member data_batch_1.bin", id="empty archive"),
        pytest.param(
            {"data_batch_1.bin": b"\0" * 3073},
            "its member data_batch_1.bin is not 30730000 bytes long",
            id="short member",
        ),
    ],
)
def test_an_incomplete_cifar10_archive_is_refused(
    members: dict[str, bytes], message: str, folder: Path
):
    write_archive(folder / CIFAR10_ARCHIVE, members)
    with pytest.raises(DataError, match=message):
        read_cifar10()


def test_an_archive_that_is_cut_short_is_refused(folder: Path):
    path = folder / CIFAR10_ARCHIVE
    write_archive(path, {"data_batch_1.bin": np.arange(99_999).tobytes()})
    path.write_bytes(path.read_bytes()[:5_000])
    with pytest.raises(DataError, match="it is no whole gzipped tar file"):
        read_cifar10()


def test_the_command_reads_the_data_set_and_counts_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    write_mnist(folder)
    assert main(["mnist"]) == 0
    assert capsys.readouterr().out == "mnist: ready, 60000 training and 10000 test images\n"


@pytest.mark.usefixtures("cache", "no_network")
def test_the_command_fails_where_there_is_no_network(capsys: pytest.CaptureFixture[str]):
    assert main(["mnist"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("mnist: the file mnist/train-images-idx3-ubyte.gz is missing")


@pytest.mark.parametrize("names", [[], ["mnst"]])
def test_the_command_lists_the_data_sets_on_wrong_use(
    names: list[str], capsys: pytest.CaptureFixture[str]
):
    assert main(names) == 2
    assert "of: mnist cifar10" in capsys.readouterr().err
