"""MSVD's captions, as Microsoft's CSV file and as lines."""

from __future__ import annotations

from pathlib import Path

from pixtell.data.dataset import open_dataset

from .made import captions, pictures, problems, touch, write

CSV = """VideoID,Start,End,WorkerID,Source,AnnotationTime,Language,Description
mv89psg6zh4,33,46,588702,unverified,55,English,"A bird, bathing in a sink."
mv89psg6zh4,33,46,588702,unverified,55,Slovene,Papagaj se umiva.
-4wsuPCjDBc,5,15,588702,clean,38,English,A squirrel eats
short,1
R2DvpPTfl-E,20,25,1,clean,38,English,
"""


def test_the_csv_file(tmp_path: Path) -> None:
    media = touch(tmp_path / "clips", "mv89psg6zh4_33_46.avi", "-4wsuPCjDBc_5_15.avi", "R2DvpPTfl-E_20_25.avi")
    found = open_dataset([write(tmp_path / "msvd.csv", CSV)], media=media)
    assert captions(found) == {
        "mv89psg6zh4_33_46": ("A bird, bathing in a sink.",),
        "-4wsuPCjDBc_5_15": ("A squirrel eats",),
    }
    assert pictures(found, tmp_path)["mv89psg6zh4_33_46"] == "clips/mv89psg6zh4_33_46.avi"
    assert problems(found, tmp_path) == [
        ("broken", "msvd.csv: line 5 has 2 columns and no caption"),
        ("empty", "msvd.csv: line 6 has an empty caption"),
        ("no_texts", "msvd.csv: line 6 has neither captions nor questions nor a label"),
    ]


def test_lines(tmp_path: Path) -> None:
    lines = "# descriptions\n\nmv89psg6zh4_33_46 a bird\nmv89psg6zh4_33_46 a parrot in a sink\nnothing here\n"
    found = open_dataset([write(tmp_path / "AllVideoDescriptions.txt", lines)])
    assert captions(found) == {"mv89psg6zh4_33_46": ("a bird", "a parrot in a sink")}
    assert problems(found, tmp_path) == [
        ("broken", "AllVideoDescriptions.txt: line 5 is not a clip's name and a caption")
    ]
