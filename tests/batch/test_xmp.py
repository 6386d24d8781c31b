"""XMP: two properties are set, and everything else of a photo library's file stays."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixtell.batch.row import Row
from pixtell.batch.xmp import ALT_TEXT, DESCRIPTION, row_of_xmp, xmp, xmp_holds, xmp_onto

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
ROW = Row("a.jpg", text="two <boats> & a dog")

# As Lightroom and darktable write them, cut to what matters.
LIGHTROOM = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core 7.0-c000">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <!-- a comment -->
  <rdf:Description rdf:about="" xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/"
    xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:my="urn:my" crs:Exposure2012="+0.35" my:note="a&#10;b">
   <dc:description><rdf:Alt>
     <rdf:li xml:lang="x-default">Lake</rdf:li><rdf:li xml:lang="de-DE">See</rdf:li>
   </rdf:Alt></dc:description>
   <dc:subject><rdf:Bag><rdf:li>boat</rdf:li></rdf:Bag></dc:subject>
   <my:deep><rdf:Description><dc:description>of another</dc:description></rdf:Description></my:deep>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>""".encode()
DARKTABLE = b"""<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:darktable="http://darktable.sf.net/" darktable:history_end="3">
   <darktable:history><rdf:Seq><rdf:li darktable:num="0" darktable:operation="sharpen"/></rdf:Seq></darktable:history>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""


def texts(content: bytes, name: str) -> dict[str | None, str | None]:
    """A property's texts by their languages, of the photo itself."""
    root = ElementTree.fromstring(content)
    whole = root if root.tag == f"{RDF}RDF" else root.find(f"{RDF}RDF")
    assert whole is not None
    found = whole.findall(f"{RDF}Description/{name}/{RDF}Alt/{RDF}li")
    return {li.get("{http://www.w3.org/XML/1998/namespace}lang"): li.text for li in found}


def test_a_new_file() -> None:
    content = xmp(ROW)
    assert content is not None and content.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<x:xmpmeta ')
    assert texts(content, DESCRIPTION) == texts(content, ALT_TEXT) == {"x-default": ROW.text}
    assert b"<Iptc4xmpCore:AltTextAccessibility>" in content and b"<dc:description>" in content
    assert row_of_xmp(content, "a") == Row("a", text=ROW.text)
    assert xmp_onto(content, ROW, "overwrite") == content
    assert xmp(Row("a.jpg")) is None


@pytest.mark.parametrize("before", [LIGHTROOM, DARKTABLE, LIGHTROOM.decode().encode("utf-16")])
def test_everything_else_stays(before: bytes) -> None:
    after = xmp_onto(before, ROW, "overwrite")
    assert texts(after, DESCRIPTION)["x-default"] == texts(after, ALT_TEXT)["x-default"] == ROW.text
    assert xmp_onto(after, ROW, "overwrite") == after
    ours = {DESCRIPTION, ALT_TEXT}

    def rest(content: bytes) -> list[tuple[str, dict[str, str], str]]:
        root = ElementTree.fromstring(content.decode("utf-16") if content.startswith(b"\xff\xfe") else content)
        for part in root.findall(f"{RDF}RDF/{RDF}Description"):
            for child in [child for child in part if child.tag in ours]:
                part.remove(child)
        return [(one.tag, one.attrib, (one.text or "").strip()) for one in root.iter()]

    assert rest(after) == rest(before)


def test_prefixes_comments_languages_and_the_envelope_stay() -> None:
    after = xmp_onto(LIGHTROOM, ROW, "overwrite")
    assert texts(after, DESCRIPTION) == {"x-default": ROW.text, "de-DE": "See"}
    for part in (
        'begin="\ufeff"'.encode(),
        b"<!-- a comment -->",
        b'crs:Exposure2012="+0.35"',
        b'"a&#10;b"',
        b'end="w"',
    ):
        assert part in after
    assert b"ns0" not in after and b"darktable:operation" in xmp_onto(DARKTABLE, ROW, "overwrite")


def test_texts_are_joined() -> None:
    appended = xmp_onto(LIGHTROOM, Row("a", text="boats"), "append")
    assert texts(appended, DESCRIPTION) == {"x-default": "Lake, boats", "de-DE": "See"}
    assert texts(appended, ALT_TEXT) == {"x-default": "boats"}
    assert texts(xmp_onto(LIGHTROOM, Row("a", text="boats"), "prepend"), DESCRIPTION)["x-default"] == "boats, Lake"


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        ("", ""),
        ("<dc:description/>", ""),
        ("<dc:description> plain </dc:description>", "plain"),
        ('<dc:description><rdf:Alt><rdf:li xml:lang="de">See</rdf:li></rdf:Alt></dc:description>', "See"),
        ("<dc:description><rdf:Alt><rdf:li>Lake</rdf:li></rdf:Alt></dc:description>", "Lake"),
    ],
)
def test_other_ways_to_write_a_description(inside: str, text: str) -> None:
    head, tail = xmp_frame()
    content = (head + inside + tail).encode()
    assert (xmp_holds(content), row_of_xmp(content, "a").text) == (bool(text), text)
    after = xmp_onto(content, ROW, "overwrite")
    assert next(iter(texts(after, DESCRIPTION).items())) == ("x-default", ROW.text)  # which XMP wants to stand first
    assert row_of_xmp(after, "a").text == ROW.text


def test_a_description_that_is_an_attribute() -> None:
    head, tail = xmp_frame('dc:description="plain"')
    content = (head + tail).encode()
    assert row_of_xmp(content, "a").text == "plain"
    after = xmp_onto(content, ROW, "overwrite")
    assert row_of_xmp(after, "a").text == ROW.text and b"plain" not in after


def xmp_frame(attribute: str = "") -> tuple[str, str]:
    head = f'<rdf:RDF xmlns:rdf="{RDF[1:-1]}"><rdf:Description xmlns:dc="{DESCRIPTION[1:-12]}" {attribute}>'
    return head, "</rdf:Description></rdf:RDF>"


@pytest.mark.parametrize(
    "content",
    [
        b"notes",
        b"",
        b"<a>",
        b"<a/>",
        b"\xff",
        b'<!DOCTYPE x [<!ENTITY a "b">]>' + DARKTABLE[39:],
        ('<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE x>' + DARKTABLE[39:].decode()).encode("utf-16-le"),
        b"<a>" * 9000,
    ],
)
def test_what_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"it is not XM|DOCTYPE|not UTF-8"):
        xmp_onto(content, ROW, "overwrite")
    with pytest.raises(ValueError, match=r"it is not XM|DOCTYPE|not UTF-8"):
        xmp_holds(content)


def test_what_is_too_deep_is_refused() -> None:
    head, tail = xmp_frame()
    with pytest.raises(ValueError, match="too deep"):
        xmp_onto((head + "<a>" * 2000 + "</a>" * 2000 + tail).encode(), ROW, "overwrite")


@given(st.text(max_size=20) | st.text(st.sampled_from("a\0\x0b\ud800\udce9\ufffe<&\t\n"), max_size=8))
def test_any_text_makes_a_file_that_can_be_read(text: str) -> None:
    content = xmp(Row("a", text=text))
    if content is not None:
        found = row_of_xmp(content, "a").text
        if text.isprintable():
            assert found == text.strip()
