"""XMP: a caption as photo libraries read it, in a file beside the photo.

In: a row, and the XMP file that is there already, if any. Out: an XMP file with `dc:description` and IPTC's
`AltTextAccessibility` (the text that a screen reader speaks), both in the language `x-default`.

The surprising thing: an XMP file belongs to whoever made it (Lightroom and darktable keep the whole development of a
photo there). So it is never written anew: only the two properties are set in it, other languages of them included.
Documents with a DOCTYPE are refused unread, as entities could make a gigabyte of a line.
"""

from __future__ import annotations

import codecs
import re
from contextlib import suppress
from xml.etree import ElementTree

from pixtell.batch.caption_text import caption_text, joined
from pixtell.batch.output import OnExisting
from pixtell.batch.row import Row

_XML = "http://www.w3.org/XML/1998/namespace"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
# The prefixes that everyone writes; a file's own others are taken over from it.
_PREFIXES = {
    "x": "adobe:ns:meta/",
    "rdf": _RDF,
    "dc": "http://purl.org/dc/elements/1.1/",
    # IPTC Photo Metadata Standard 2021.1, "Alt Text (Accessibility)".
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
}
DESCRIPTION = f"{{{_PREFIXES['dc']}}}description"
ALT_TEXT = f"{{{_PREFIXES['Iptc4xmpCore']}}}AltTextAccessibility"
_ABOUT, _LANGUAGE = f"{{{_RDF}}}about", f"{{{_XML}}}lang"
_DESCRIBED, _ALT, _LI = f"{{{_RDF}}}Description", f"{{{_RDF}}}Alt", f"{{{_RDF}}}li"

_FRESH = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Pixtell"><rdf:RDF xmlns:rdf="' + _RDF.encode() + b'">'
    b'<rdf:Description rdf:about=""/></rdf:RDF></x:xmpmeta>'
)
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# What XML 1.0 can't hold (section 2.2, "Characters").
_NO_CHARACTERS = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# The envelope that tells an XMP packet within other files (XMP specification, part 1, 7.3.2).
_PACKET = (b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n', b'\n<?xpacket end="w"?>')


def xmp(row: Row) -> bytes | None:
    """The XMP file of a row, None where it says nothing."""
    return xmp_onto(_FRESH, row, "overwrite") if caption_text(row) else None


def xmp_onto(before: bytes, row: Row, on_existing: OnExisting) -> bytes:
    """`before` with the row's text as its two properties. Raises `ValueError` where it is not XMP."""
    root = _parsed(before)
    text = _NO_CHARACTERS.sub("\ufffd", caption_text(row))
    if not text:
        return before
    for name in (DESCRIPTION, ALT_TEXT):
        _set(root, name, joined(_text(root, name), text, on_existing))
    if before is _FRESH:
        ElementTree.indent(root, " ")
    try:
        content = ElementTree.tostring(root, encoding="unicode").encode()
    except RecursionError:
        raise ValueError("its elements lie too deep in one another to be written again") from None
    if b"<?xpacket" in before:
        return _PACKET[0] + content + _PACKET[1]
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + content + b"\n"


def xmp_holds(content: bytes) -> bool:
    """Whether an XMP file describes its photo. Raises `ValueError` where it is not XMP."""
    return bool(_text(_parsed(content), DESCRIPTION))


def row_of_xmp(content: bytes, name: str) -> Row:
    """The row that an XMP file holds. Raises `ValueError` where it is not XMP."""
    return Row(name, text=_text(_parsed(content), DESCRIPTION))


class _Builder(ElementTree.TreeBuilder):
    """Builds the tree and takes the prefixes over, which ElementTree would replace by its own."""

    def start_ns(self, prefix: str, uri: str) -> None:
        with suppress(ValueError):  # "ns1" and the like, which ElementTree keeps for itself
            if prefix:
                ElementTree.register_namespace(prefix, uri)


def _parsed(content: bytes) -> ElementTree.Element:
    try:
        text = content.decode("utf-16" if content.startswith(_UTF16) else "utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None
    if "<!DOCTYPE" in text or "<!ENTITY" in text or "\0" in text:
        raise ValueError("it has a DOCTYPE or a NUL, which XMP has not")
    # What was looked through is what is parsed: given text, the parser passes over the encoding that it declares.
    parser = ElementTree.XMLParser(target=_Builder(insert_comments=True, insert_pis=True))
    try:
        root = ElementTree.fromstring(text, parser)
    except ElementTree.ParseError as error:
        raise ValueError(f"it is not XML: {error}") from None
    for prefix, uri in _PREFIXES.items():
        ElementTree.register_namespace(prefix, uri)
    if not _descriptions(root):
        raise ValueError("it is not XMP: it has no rdf:Description")
    return root


def _descriptions(root: ElementTree.Element) -> list[ElementTree.Element]:
    """The parts that speak of the photo itself: what lies deeper in them speaks of something else."""
    whole = root if root.tag == f"{{{_RDF}}}RDF" else root.find(f"{{{_RDF}}}RDF")
    return [] if whole is None else whole.findall(_DESCRIBED)


def _text(root: ElementTree.Element, name: str) -> str:
    """A property's text in `x-default`, or in its first language; XMP also allows a bare text or an attribute."""
    for part in _descriptions(root):
        if name in part.attrib:
            return part.attrib[name].strip()
        found = part.find(name)
        if found is not None:
            texts = {li.get(_LANGUAGE, ""): li.text or "" for li in reversed(list(found.iter(_LI)))}
            first = next(reversed(texts.values()), found.text or "")
            return texts.get("x-default", first).strip()
    return ""


def _set(root: ElementTree.Element, name: str, text: str) -> None:
    """Set a property's text in `x-default`; every other language stays."""
    parts = _descriptions(root)
    for part in parts:
        part.attrib.pop(name, None)
    there = next((part.find(name) for part in parts if part.find(name) is not None), None)
    if there is None:
        there = ElementTree.SubElement(parts[0], name)
    languages = there.find(_ALT)
    if languages is None:
        there.clear()
        languages = ElementTree.SubElement(there, _ALT)
    default = next((li for li in languages.findall(_LI) if li.get(_LANGUAGE) == "x-default"), None)
    if default is None:
        default = ElementTree.Element(_LI, {_LANGUAGE: "x-default"})
        languages.insert(0, default)
    default.text = text
