import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from docflow.signing import font
from docflow.signing.font import Fonts

VIETNAMESE = (
    "aăâbcdđeêghiklmnoôơpqrstuưvxy àằầèềìòồờùừỳ áắấéếíóốớúứý ảẳẩẻểỉỏổởủửỷ ãẵẫẽễĩõỗỡũữỹ ạặậẹệịọộợụựỵ"
)


@pytest.mark.parametrize("face", [font.REGULAR, font.BOLD, font.ITALIC])
def test_every_vietnamese_letter_is_in_every_face(fonts: Fonts, face: str) -> None:
    font.register(fonts)
    text = VIETNAMESE + VIETNAMESE.upper() + "0123456789 “”‘’ – — … ₫ § № ½ fi"
    assert font.missing_characters(text, face) == ""


def test_a_missing_character_is_named_once(fonts: Fonts) -> None:
    font.register(fonts)
    assert font.missing_characters("Số 漢字漢") == "漢字"


def test_equal_inputs_give_equal_bytes(fonts: Fonts, tmp_path: Path) -> None:
    font.build_subset(tmp_path)
    assert (tmp_path / "NotoSans-subset.ttf").read_bytes() == fonts.regular.read_bytes()
    assert (tmp_path / "NotoSans-Bold-subset.ttf").read_bytes() == fonts.bold.read_bytes()


def test_the_licence_goes_with_the_fonts(fonts: Fonts) -> None:
    notice = (fonts.regular.parent / "NOTICE.txt").read_text()
    assert "Copyright 2015 Google Inc." in notice
    assert "SIL OPEN FONT LICENSE Version 1.1" in notice
    assert "PERMISSION & CONDITIONS" in notice


def test_the_subset_is_small(fonts: Fonts) -> None:
    assert all(f.stat().st_size < 80_000 for f in (fonts.regular, fonts.bold, fonts.italic))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data[:20_000] + bytes([data[20_000] ^ 1]) + data[20_001:],
        lambda data: b"OTTO" + data[4:],
    ],
    ids=["empty", "torn", "flipped bit", "other format"],
)
def test_a_damaged_cache_is_made_again(fonts: Fonts, tmp_path: Path, spoil) -> None:  # type: ignore[no-untyped-def]
    shutil.copytree(fonts.regular.parent, tmp_path / fonts.regular.parent.name)
    made = font.ensure_fonts(tmp_path)
    made.regular.write_bytes(spoil(fonts.regular.read_bytes()))
    assert not font.is_sound(made.regular)
    again = font.ensure_fonts(tmp_path)
    assert again == made
    assert font.is_sound(again.regular)


def test_a_good_cache_is_not_written_again(fonts: Fonts, tmp_path: Path) -> None:
    shutil.copytree(fonts.regular.parent, tmp_path / fonts.regular.parent.name)
    made = font.ensure_fonts(tmp_path)
    before = made.regular.stat().st_mtime_ns
    assert font.ensure_fonts(tmp_path).regular.stat().st_mtime_ns == before


def test_several_may_start_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda _: font.ensure_fonts(tmp_path), range(2)))
    assert len(set(made)) == 1
    assert font.is_sound(made[0].italic)
    assert not list(tmp_path.rglob(".NotoSans*"))
