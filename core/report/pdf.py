"""A report as a PDF file: A4, DejaVu inside it, every picture described."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from fpdf import FPDF
from fpdf.bidi import BidiParagraph
from fpdf.enums import TextDirection, XPos, YPos
from plotly.colors import unlabel_rgb

from core.figures.style import likelihood_colour
from core.report.content import NOTICE, Bar, Content, Note, Table
from core.report.pictures import Picture, colour_bar_png
from core.wording import unbroken

Colour = tuple[int, int, int]

_INK, _QUIET, _LINE, _TINT = (23, 35, 46), (81, 96, 108), (214, 221, 227), (241, 244, 246)
_ACCENT = (11, 110, 131)
# Level of a note -> colour of its edge and title, of its ground.
_LEVELS: dict[str, tuple[Colour, Colour]] = {
    "caution": ((138, 90, 0), (253, 243, 224)),
    "alarm": ((163, 40, 12), (253, 236, 231)),
}
_EDGE, _FOOT, _GAP = 15.0, 16.0, 5.0
_TALLEST, _ROW, _HEADING = 62.0, 4.7, 9.5
_TEXT, _SMALL, _LEADING = 8.5, 7.5, 1.42
_BELOW_NOTE = 1.5
_POINT = 25.4 / 72
_BOX = "□"
_PAGES = "{number of all pages}"
"""Becomes that number wherever it stands; nothing that a file would be called."""

# What the library has to say about letters that a font lacks would quote a file's name.
for library in ("fpdf", "fontTools"):
    logging.getLogger(library).setLevel(logging.CRITICAL + 1)


def pdf_of(content: Content, made_at: datetime) -> bytes:
    """The file's bytes: the same for the same content and time."""
    sheet = _Sheet(content, made_at)
    sheet.add_page()
    _head(sheet, content)
    for note in content.alarms:
        _framed(sheet, note)
    _opinion(sheet, content)
    _evidence(sheet, content)
    columns, height = _columns(sheet, content.notes)
    _heading(sheet, "How far to trust it", room=_HEADING + height)
    _two_columns(sheet, columns, height)
    _heading(sheet, "Figures of this system on test images", room=_table_height(content.figures))
    _table(sheet, content.figures)
    _heading(sheet, "Known limits")
    for limit in content.limits:
        _bullet(sheet, limit)
    _heading(sheet, "Record", room=30)
    for name, value in content.record:
        _record_line(sheet, name, value)
    return bytes(sheet.output())


class _Sheet(FPDF):
    """A4 with the notice and the page's number at the foot of every page."""

    def __init__(self, content: Content, made_at: datetime):
        super().__init__(format="A4")
        self.set_margins(_EDGE, _EDGE, _EDGE)
        self.set_auto_page_break(True, _FOOT + 4)
        for style, file in (("", "DejaVuSans.ttf"), ("B", "DejaVuSans-Bold.ttf")):
            self.add_font("text", style, _fonts() / file)
        self.set_title(f"LesionLens report: {content.title}")
        self.set_creator("LesionLens")
        self.set_lang("en")
        self.set_creation_date(made_at)
        self.alias_nb_pages(_PAGES)
        self.c_margin = 0

    def footer(self) -> None:
        self.set_y(-_FOOT)
        self.set_draw_color(*_LINE)
        self.line(_EDGE, self.get_y(), self.w - _EDGE, self.get_y())
        self.set_y(-_FOOT + 2)
        self.pen(_SMALL, _QUIET)
        self.cell(self.epw - 8, 4, NOTICE)
        self.cell(8, 4, f"{self.page_no()} / {_PAGES}")

    def pen(self, size: float, colour: Colour = _INK, style: str = "") -> None:
        """Font size in points, colour and style of what is written next."""
        self.set_font("text", style, size)
        self.set_text_color(*colour)

    def lines(self, text: str, width: float, size: float) -> float:
        """Height in mm of a text wrapped to ``width`` in the font of the pen."""
        height = size * _POINT * _LEADING
        return self.multi_cell(
            width, height, unbroken(text), align="L", dry_run=True, output="HEIGHT"
        )

    def write_lines(self, text: str, size: float, width: float = 0, x: float | None = None) -> None:
        """A wrapped text in the font of the pen from ``x`` on; the pen goes below it."""
        self.set_x(_EDGE if x is None else x)
        height = size * _POINT * _LEADING
        self.multi_cell(
            width, height, unbroken(text), align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT
        )

    def drawable(self, text: str) -> str:
        """The text in one line, with a box for each letter that the font lacks, which else would
        be left out."""
        known, line = self.fonts["text"].cmap, " ".join(text.splitlines())
        return "".join(one if ord(one) in known else _BOX for one in line)

    def seen(self, text: str, width: float) -> list[str]:
        """The lines of a text wrapped to ``width``, each from left to right as it is to be seen."""
        lines = self.multi_cell(width, text=unbroken(text), align="L", dry_run=True, output="LINES")
        return [BidiParagraph(one, TextDirection.LTR).get_reordered_string() for one in lines]

    def keep(self, height: float) -> None:
        """A new page unless so many millimetres are left on this one."""
        if self.will_page_break(height):
            self.add_page()


def _fonts() -> Path:
    """DejaVu as Matplotlib ships it."""
    from matplotlib import get_data_path

    return Path(get_data_path()) / "fonts" / "ttf"


# ---------------------------------------------------------------- parts, from top to bottom


def _head(sheet: _Sheet, content: Content) -> None:
    right, top = sheet.w - _EDGE, _EDGE
    _mark(sheet, right - 31, top - 0.5, 6.5)
    sheet.pen(11, _ACCENT, "B")
    sheet.set_xy(right - 23.5, top - 0.2)
    sheet.cell(24, 6, "LesionLens")
    sheet.pen(_SMALL, _QUIET)
    sheet.set_xy(right - 50, top + 7)
    sheet.cell(50, 4, content.made_at, align="R")
    width = sheet.epw - 54
    sheet.set_xy(_EDGE, top - 0.8)
    sheet.pen(13, style="B")
    sheet.write_lines(content.title, 13, width)
    sheet.pen(9.5)
    sheet.write_lines(content.system, 9.5, width)
    y = max(sheet.get_y(), top + 11) + 2.5
    sheet.set_draw_color(*_ACCENT)
    sheet.set_line_width(0.6)
    sheet.line(_EDGE, y, right, y)
    sheet.set_line_width(0.2)
    sheet.set_y(y + 2.2)
    sheet.pen(_TEXT, _QUIET)
    sheet.write_lines(content.intended_use, _TEXT)
    sheet.ln(2)


def _mark(sheet: _Sheet, x: float, y: float, size: float) -> None:
    """The lens."""
    unit = size / 32
    sheet.set_draw_color(28, 138, 163)
    sheet.set_line_width(3 * unit)
    sheet.circle(x + 14 * unit, y + 14 * unit, 10.5 * unit)
    sheet.set_line_width(4 * unit)
    sheet.line(x + 22 * unit, y + 22 * unit, x + 29 * unit, y + 29 * unit)
    sheet.set_fill_color(224, 152, 63)
    sheet.circle(x + 14 * unit, y + 14 * unit, 4.2 * unit, style="F")
    sheet.set_line_width(0.2)


def _framed(sheet: _Sheet, note: Note) -> None:
    """A note that must be seen: an edge and a ground of its colour."""
    colour, ground = _LEVELS[note.level]
    width = sheet.epw - 8
    height = _note_height(sheet, note, width) + 4
    sheet.keep(height + 2)
    top = sheet.get_y()
    sheet.set_fill_color(*ground)
    sheet.rect(_EDGE, top, sheet.epw, height, style="F")
    sheet.set_fill_color(*colour)
    sheet.rect(_EDGE, top, 1.2, height, style="F")
    sheet.set_y(top + 2)
    _note(sheet, note, width, _EDGE + 4.5, colour)
    sheet.set_y(top + height + 2)


def _note(sheet: _Sheet, note: Note, width: float, x: float, colour: Colour = _INK) -> None:
    sheet.pen(_TEXT, colour, "B")
    sheet.write_lines(note.title, _TEXT, width, x)
    sheet.pen(_TEXT)
    sheet.write_lines(note.text, _TEXT, width, x)


def _opinion(sheet: _Sheet, content: Content) -> None:
    """The likeliest class at the left, all bars at the right."""
    step, left = 7.0, 58.0
    height = max(24.0, step * len(content.bars) + 7)
    sheet.keep(height)
    top = sheet.get_y() + 2
    sheet.set_y(top + max(0.0, (height - 24) / 2))
    sheet.pen(_TEXT, _QUIET)
    sheet.write_lines("Most likely", _TEXT, left - _GAP)
    sheet.pen(18, style="B")
    sheet.write_lines(content.verdict, 17, left - _GAP)
    sheet.pen(10)
    sheet.write_lines(content.verdict_text, 10, left - _GAP)
    below = sheet.get_y()
    x = _EDGE + left
    sheet.pen(9, style="B")
    names = max(sheet.get_string_width(bar.title) for bar in content.bars) + 3
    names = min(names, 48.0)
    for number, bar in enumerate(content.bars):
        _bar(sheet, bar, x, top + number * step, names)
    sheet.set_y(top + len(content.bars) * step + 0.5)
    sheet.pen(_SMALL, _QUIET)
    sheet.write_lines(content.bars_note, _SMALL, 0, x)
    sheet.set_y(max(below, sheet.get_y()))


def _bar(sheet: _Sheet, bar: Bar, x: float, y: float, names: float) -> None:
    width = sheet.w - _EDGE - x - names - 15
    sheet.pen(9, style="B" if bar.likeliest else "")
    sheet.set_xy(x, y)
    sheet.cell(names, 5, _shortened(sheet, bar.title, names - 1))
    sheet.set_fill_color(*_TINT)
    sheet.rect(x + names, y + 0.3, width, 4.4, style="F", round_corners=True, corner_radius=0.8)
    sheet.set_fill_color(*map(round, unlabel_rgb(likelihood_colour(bar.share, bar.malignant))))
    sheet.rect(x + names, y + 0.3, max(0.4, bar.share * width), 4.4, style="F")
    sheet.set_xy(x + names + width, y)
    sheet.cell(15, 5, bar.text, align="R")


def _shortened(sheet: _Sheet, text: str, width: float) -> str:
    while sheet.get_string_width(text) > width:
        text = text[:-2] + "…"
    return text


def _evidence(sheet: _Sheet, content: Content) -> None:
    _heading(sheet, "Scan and evidence", room=70)
    pictures = content.pictures
    for start in range(0, len(pictures), content.across):
        _pictures(sheet, pictures[start : start + content.across], content.across)
    if content.has_maps:
        _colour_key(sheet, content.explained)
    sheet.pen(_TEXT, _QUIET)
    sheet.write_lines(content.maps_note, _TEXT)


def _pictures(sheet: _Sheet, row: Sequence[Picture], across: int) -> None:
    """Pictures of one size side by side, each under its title."""
    width = (sheet.epw - (across - 1) * _GAP) / across
    ratio = row[0].height / row[0].width
    tall = min(width * ratio, _TALLEST)
    title = _TEXT * _POINT * _LEADING
    captions = max(_caption_height(sheet, one, width) for one in row)
    sheet.keep(tall + title + captions + 3)
    top = sheet.get_y()
    for number, one in enumerate(row):
        x = _EDGE + number * (width + _GAP)
        sheet.set_xy(x, top)
        sheet.pen(_TEXT, style="B")
        sheet.cell(width, title, one.title)
        file = io.BytesIO(one.jpeg)
        sheet.image(file, x, top + title + 0.6, h=tall, w=tall / ratio, alt_text=one.alt)
        sheet.set_y(top + title + tall + 1.2)
        sheet.pen(_SMALL, _QUIET)
        if one.caption:
            sheet.write_lines(one.caption, _SMALL, width, x)
    sheet.set_y(top + title + tall + captions + 3)


def _caption_height(sheet: _Sheet, picture: Picture, width: float) -> float:
    sheet.pen(_SMALL)
    return sheet.lines(picture.caption, width, _SMALL) if picture.caption else 0.0


def _colour_key(sheet: _Sheet, explained: str) -> None:
    y = sheet.get_y()
    sheet.pen(_SMALL, _QUIET)
    sheet.set_xy(_EDGE, y)
    sheet.cell(3.5, 4, "0")
    alt = f"Colours from no evidence to the most for {explained}"
    sheet.image(io.BytesIO(colour_bar_png()), _EDGE + 3.5, y + 0.9, w=42, h=2.2, alt_text=alt)
    sheet.set_xy(_EDGE + 47, y)
    sheet.cell(0, 4, f"1   relative evidence for {explained}")
    sheet.set_y(y + 5)


def _heading(sheet: _Sheet, text: str, room: float = 18) -> None:
    """A heading, on a new page unless so many millimetres are left for it and what follows."""
    sheet.keep(room)
    sheet.ln(3)
    sheet.pen(10.5, _ACCENT, "B")
    sheet.write_lines(text, 10.5)
    sheet.ln(0.8)


def _columns(sheet: _Sheet, notes: Sequence[Note]) -> tuple[tuple[list[Note], list[Note]], float]:
    """Notes in two columns, each note put where there is more room; and how high they are."""
    width = _column_width(sheet)
    columns: tuple[list[Note], list[Note]] = ([], [])
    heights = [0.0, 0.0]
    for note in notes:
        shorter = int(heights[1] < heights[0])
        columns[shorter].append(note)
        heights[shorter] += _note_height(sheet, note, width) + _BELOW_NOTE
    return columns, max(heights)


def _column_width(sheet: _Sheet) -> float:
    return (sheet.epw - 2 * _GAP) / 2


def _two_columns(sheet: _Sheet, columns: tuple[list[Note], list[Note]], height: float) -> None:
    width, top = _column_width(sheet), sheet.get_y()
    for number, column in enumerate(columns):
        sheet.set_y(top)
        for note in column:
            _note(sheet, note, width, _EDGE + number * (width + 2 * _GAP))
            sheet.ln(_BELOW_NOTE)
    sheet.set_y(top + height)


def _note_height(sheet: _Sheet, note: Note, width: float) -> float:
    sheet.pen(_TEXT, style="B")
    title = sheet.lines(note.title, width, _TEXT)
    sheet.pen(_TEXT)
    return title + sheet.lines(note.text, width, _TEXT)


def _table_height(table: Table) -> float:
    return (len(table.rows) + 2) * _ROW + 22


def _table(sheet: _Sheet, table: Table) -> None:
    first, last = 46.0, 18.0
    others = len(table.heads) - 2
    widths = [first, *[(sheet.epw - first - last) / max(1, others)] * others, last]
    for head in zip(*(_two_lines(head) for head in table.heads), strict=True):
        sheet.pen(_TEXT, style="B") if head[0] else sheet.pen(_SMALL, _QUIET)
        _cells(sheet, head, widths)
    _rule(sheet)
    sheet.pen(_TEXT)
    for row in table.rows:
        _cells(sheet, row, widths)
        _rule(sheet)
    sheet.ln(1)
    sheet.pen(_SMALL, _QUIET)
    sheet.write_lines(" ".join(table.notes), _SMALL)


def _two_lines(head: str) -> tuple[str, str]:
    first, _, second = head.partition("\n")
    return first, second


def _cells(sheet: _Sheet, texts: Sequence[str], widths: Sequence[float]) -> None:
    sheet.set_x(_EDGE)
    for text, width in zip(texts, widths, strict=True):
        sheet.cell(width, _ROW, _shortened(sheet, text, width - 1))
    sheet.ln(_ROW)


def _rule(sheet: _Sheet) -> None:
    sheet.set_draw_color(*_LINE)
    sheet.line(_EDGE, sheet.get_y(), sheet.w - _EDGE, sheet.get_y())


def _bullet(sheet: _Sheet, text: str) -> None:
    sheet.pen(_TEXT)
    sheet.keep(sheet.lines(text, sheet.epw - 4, _TEXT))
    top = sheet.get_y()
    sheet.set_x(_EDGE)
    sheet.cell(4, _TEXT * _POINT * _LEADING, "•")
    sheet.set_y(top)
    sheet.write_lines(text, _TEXT, 0, _EDGE + 4)


def _record_line(sheet: _Sheet, name: str, value: str) -> None:
    left = 32.0
    value = sheet.drawable(value)  # a file's name may be in any script
    sheet.pen(_SMALL)
    sheet.keep(sheet.lines(value, sheet.epw - left, _SMALL))
    top = sheet.get_y()
    sheet.pen(_SMALL, _QUIET)
    sheet.set_x(_EDGE)
    sheet.cell(left, _SMALL * _POINT * _LEADING, name)
    sheet.set_y(top)
    sheet.pen(_SMALL)
    for line in sheet.seen(value, sheet.epw - left):
        sheet.write_lines(line, _SMALL, 0, _EDGE + left)
    sheet.ln(0.5)
