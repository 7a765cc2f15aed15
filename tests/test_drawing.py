"""What all pictures have in common: text of any file can be drawn; a file is whole, new, and where it was asked for."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from eqspike.errors import EqspikeError
from eqspike.view.drawing import lettering, new_figure, save

TEXTS = {
    "plain": "plain",
    r"$\beta$ = 1": r"$\beta$ = 1",  # mathematics stays what it is
    r"run$\frac$": r"run\$\frac\$",
    "5 $ and 6 $_$": r"5 \$ and 6 \$_\$",
    "one $": r"one \$",
    "\x1b[31mred\nline\u202e": " [31mred line ",
    "half \udcff": "half  ",
}


@pytest.mark.parametrize(("text", "drawn"), TEXTS.items(), ids=ascii)
def test_text_of_a_file_is_drawn_as_it_stands(tmp_path, text, drawn):
    assert lettering(text) == drawn
    figure = new_figure(3, 2)
    figure.subplots().set_title(lettering(text))
    save(figure, tmp_path / "text.png")
    assert (tmp_path / "text.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.filterwarnings("error")
def test_letters_that_the_font_does_not_have_are_no_fault(tmp_path):
    figure = new_figure(3, 2)
    figure.suptitle(lettering("神经元 🧠"))
    save(figure, tmp_path / "text.png")


def test_a_picture_replaces_a_file_and_does_not_write_into_it(tmp_path):
    path, other = tmp_path / "a.png", tmp_path / "b.png"
    path.write_text("precious")
    other.hardlink_to(path)
    save(Figure(), path)
    assert path.read_bytes().startswith(b"\x89PNG") and other.read_text() == "precious"


def test_a_picture_is_not_written_through_a_symbolic_link(tmp_path):
    target, link = tmp_path / "precious", tmp_path / "link.png"
    target.write_text("precious")
    link.symlink_to(target)
    with pytest.raises(EqspikeError, match="is a symbolic link"):
        save(Figure(), link)
    assert target.read_text() == "precious"


def test_a_picture_that_cannot_be_drawn_leaves_the_old_one(tmp_path):
    path = tmp_path / "a.png"
    save(Figure(), path)
    before = path.read_bytes()
    broken = Figure()
    broken.suptitle(r"$\frac$")
    with pytest.raises(EqspikeError, match=r"a\.png: cannot draw this picture"):
        save(broken, path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["png", "PNG", "svg", "pdf"])
def test_the_name_says_the_kind(tmp_path, kind):
    save(Figure(), tmp_path / f"a.{kind}")
    head = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[kind.lower()]
    assert (tmp_path / f"a.{kind}").read_bytes().startswith(head)


@pytest.mark.parametrize("name", ["a", "a.", "a.bmp2", "a.h5"])
def test_other_kinds_are_refused_before_anything_is_written(tmp_path, name):
    with pytest.raises(EqspikeError, match="cannot draw a picture of this kind"):
        save(Figure(), tmp_path / name)
    assert np.size(list(tmp_path.iterdir())) == 0
