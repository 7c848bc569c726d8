"""Personal data in a clean text: found, replaced by stand-ins and counted.

Looked for is what a form of its own, or check digits, tell apart from other text: e-mail addresses, public IP
addresses, phone numbers, bank accounts (IBAN) and payment cards. Names and postal addresses are not. Rather too little
is masked than dates, prices, versions, ISBNs and the numbers of tables.

RE2 finds candidates in linear time; only these, short as they are, are looked at closely.
"""

import functools
import ipaddress
import re
from collections.abc import Callable
from itertools import pairwise

EMAIL, IPV4, IPV6 = "email@example.com", "192.0.2.1", "2001:db8::1"
PHONE, IBAN, CARD = "+1-555-0100", "XX00 0000 0000 0000", "0000 0000 0000 0000"
"""What stands for personal data, so that sentences keep their form: addresses and a number reserved for examples, and
an account and a card that cannot be. They are not found again."""

KINDS = ("email", "ip", "phone", "iban", "card")
MAX_NUMBER = 40
"""Characters of a run of digits and separators that may be one number; longer ones are tables."""


def mask(text: str) -> tuple[str, dict[str, int]]:
    """(the text with stand-ins, how many of each kind; kinds that were not found are left out)."""
    counts: dict[str, int] = {}
    patterns = _patterns()

    def sub(pattern: str, stand_in: Callable) -> None:
        nonlocal text

        def replace(match) -> str:
            kind, new = stand_in(match) or ("", match[0])
            if new != match[0]:
                counts[kind] = counts.get(kind, 0) + 1
            return new

        text = patterns[pattern].sub(replace, text)

    if "@" in text:
        sub("email", lambda match: ("email", EMAIL))
    if text.count(".") > 2:
        sub("ipv4", lambda match: ("ip", IPV4) if _is_public(match[0]) else None)
    if text.count(":") > 1:
        sub("ipv6", lambda match: ("ip", IPV6) if _is_public(match[0]) else None)
    if patterns["number"].search(text):
        sub("iban", _bank_account)
        sub("labelled", _labelled_phone)
        sub("number", _number)
    return text, counts


@functools.cache
def _patterns() -> dict:
    """Patterns of RE2. Each takes in all that looks like one thing, so that no part of a longer one is taken for it."""
    import re2

    options = re2.Options()
    options.max_mem = 64 << 20  # the default is too little for the letters of all scripts: it would fall back, slowly
    options.log_errors = False
    patterns = {
        "email": r"[\pL\pN][\pL\pN._%+-]*@[\pL\pN](?:[\pL\pN.-]*[\pL\pN])?\.[\pL]{2,24}",
        "ipv4": r"\b[0-9]{1,3}(?:\.[0-9]{1,3}){3,}\b",
        "ipv6": r"\b[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{0,4}){2,8}",
        "iban": r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b",
        "labelled": rf"(?i)({_LABEL}[ .]{{0,2}}[:：] ?|(?:^|[^\pL\pN])(?:tel|mob|fax|тел|факс|τηλ)\. )({_NUMBER})",
        "number": _NUMBER,
    }
    return {name: re2.compile(pattern, options) for name, pattern in patterns.items()}


def _is_public(written: str) -> bool:
    """Whether it is an address that belongs to someone; of IPv6 only 2000::/3 is given out."""
    try:
        address = ipaddress.ip_address(written)
    except ValueError:
        return False
    return address.is_global and (address.version == 4 or int(address) >> 125 == 1)


# --- bank accounts and cards --------------------------------------------------------------------------------------

_IBANS = (
    "NO15 BE16 DK18 FI18 FO18 GL18 NL18 SD18 MK19 SI19 AT20 BA20 EE20 KZ20 LT20 LU20 MN20 XK20 CH21 HR21 LI21 LV21 "
    "BG22 BH22 CR22 DE22 GB22 GE22 IE22 ME22 RS22 AE23 GI23 IL23 IQ23 OM23 SO23 TL23 AD24 CZ24 ES24 MD24 PK24 RO24 "
    "SA24 SE24 SK24 TN24 VG24 LY25 PT25 ST25 IS26 TR26 BI27 DJ27 FR27 GR27 IT27 MC27 MR27 SM27 AL28 AZ28 BY28 CY28 "
    "DO28 GT28 HU28 LB28 NI28 PL28 SV28 BR29 EG29 PS29 QA29 UA29 JO30 KW30 MU30 YE30 MT31 SC31 LC32 RU33"
)
_IBAN_LENGTHS = {entry[:2]: int(entry[2:]) for entry in _IBANS.split()}
"""Characters of an account number by country (ISO 13616)."""


def _bank_account(match) -> tuple[str, str] | None:
    """The account at the beginning of a candidate, which may have run on into the next word."""
    written = match[0]
    length = _IBAN_LENGTHS.get(written[:2], 0)
    ends = [k + 1 for k, sign in enumerate(written) if sign != " "]
    if not 0 < length <= len(ends):
        return None
    end = ends[length - 1]
    if written[end : end + 1].strip() or not _checks_97(written[:end].replace(" ", "")):
        return None
    return "iban", IBAN + written[end:]


def _checks_97(account: str) -> bool:
    """ISO 7064: letters as numbers from 10, the first four characters last, the remainder by 97 is 1."""
    return int("".join(str(int(sign, 36)) for sign in account[4:] + account[:4])) % 97 == 1


_CARD = re.compile(r"\d{15,19}|\d{4}([ -])\d{4}\1\d{4}(?:\1\d{1,4}){0,2}|\d{4}([ -])\d{6}\2\d{4,5}")
_ISSUER = re.compile(
    r"4|5[1-5]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)|3[47]|3(?:0[0-5]|[689])|35(?:2[89]|[3-8])|6011|64[4-9]|65|62"
)
_CARD_LENGTHS = {"2": (16,), "3": (14, 15, 16), "4": (16, 19), "5": (16,), "6": (16, 17, 18, 19)}


def _is_card(written: str, digits: str) -> bool:
    if not _CARD.fullmatch(written) or not _ISSUER.match(digits) or len(digits) not in _CARD_LENGTHS[digits[0]]:
        return False
    doubled = (sum(divmod(2 * int(d), 10)) for d in digits[-2::-2])
    return (sum(map(int, digits[::-2])) + sum(doubled)) % 10 == 0  # ISO/IEC 7812


# --- phone numbers ------------------------------------------------------------------------------------------------

_NUMBER = r"\+?\(?[0-9](?:(?:[ .\-‐‑–/]|\)[ \-/]?| ?\()?[0-9]){5,}"
"""A run of digits with what separates the groups of a number."""

_LABEL = (
    r"(?:(?:^|[^\pL\pN])(?:tel|tél|telephone|téléphone|telefon|teléfono|telefono|telefone|telefoon|telefax|puhelin|phone|mobile|mobil|"
    r"móvil|celular|handy|cell|fax|whatsapp|hotline|тел|телефон|факс|моб|τηλ|τηλέφωνο)"
    r"|هاتف|تلفن|טלפון|电话|電話|手机|传真|전화|โทร|điện thoại)"
)
"""Words that, with a colon, announce a phone number."""

_PHONES = re.compile(
    r"""
      \+1[ .\-/]?\(?[2-9]\d\d\)?[ .\-/]?\d{3}[ .\-]?\d{4}               # North America
    | \+(?:[2-9]\d{0,2})(?:[ .\-‐‑–/]?\(?\d+\)?)+                            # all others, with the country's code
    | 00[2-9]\d?\d?(?:[ .\-/]\(?\d+\)?)+
    | (?:1[ .\-])?(?:\([2-9]\d\d\)\ ?|[2-9]\d\d[.\-])[2-9]\d\d[ .\-]\d{4}      # (415) 555-2671, 415-555-2671
    | [2-9]\d\d\ [2-9]\d\d-\d{4}
    | 0[1-9](?P<pair>[ .\-])\d\d(?:(?P=pair)\d\d){3}                         # 01 42 68 53 00
    | 0\d{1,4}-\d{2,4}-\d{3,4}                                              # 03-1234-5678, 010-1234-5678
    | 0[1-9]\d{1,2}-\d{7,8} | 1[3-9]\d(?P<cn>[ \-])\d{4}(?P=cn)\d{4}           # 0755-12345678, 138-1234-5678
    | \(?0\d{2,4}\)?\ \d{3,4}\ \d{3,4} | 0\d{4}\ \d{6}                        # 020 7946 0958, 07700 900123
    | \(0\d{1,4}\)[ \-/]?\d{2,}(?:[ \-]\d{2,}){0,4}                          # (02) 9374 4000, (030) 12 34 56-78
    | 0[1-9]\d{1,4}[/–\-]\d{3,}(?:[ \-]?\d{2,}){0,3}                        # 030/1234567, 0711/123-456
    | (?:8[ \-]?)?\([3489]\d\d\)[ \-]?\d{3}[ \-]\d\d[ \-]\d\d                # 8 (495) 123-45-67
    | 8[ \-][3489]\d\d[ \-]\d{3}[ \-]\d\d[ \-]\d\d
    | \([1-9]\d\)\ ?9?\d{4}-\d{4}                                           # (11) 98765-4321
    """,
    re.VERBOSE,
)
"""International numbers, and national ones of forms that are hardly used for anything else."""

_YEARS = re.compile(r"(?:.*\D)?(?:19|20)\d\d[ ./–-]{1,3}(?:19|20)?\d\d|.*[/–-] ?(?:19|20)\d\d")
_NOT_BEFORE, _NOT_BEHIND = "/=&#_@%$€£¥~*^-.,+(№", "/%€$£¥°²³_=@&-"


def _is_phone(written: str, digits: str) -> bool:
    if not 9 <= len(digits) <= 15 or not _PHONES.fullmatch(written):
        return False
    if written[0] == "+":
        return not written.endswith("000 000")
    return not (_YEARS.fullmatch(written) or _is_date(written))


_DATE = re.compile(r"(\d{1,2})[./-](\d{1,2})[./-]\d{2,4}|\d{4}[./-](\d{1,2})[./-](\d{1,2})")


def _is_date(written: str) -> bool:
    """A date, or the numbers of pages in a row."""
    if match := _DATE.fullmatch(written):
        small, large = sorted(int(g) for g in match.groups() if g)
        return small <= 12 and large <= 31
    numbers = [int(group) for group in re.split(r"\D+", written) if group]
    return len(numbers) > 3 and all(b - a == 1 for a, b in pairwise(numbers))


def _is_word(sign: str) -> bool:
    """Chinese and Japanese set no space between a word and a number."""
    return sign.isalnum() and (sign < "\u2e80" or sign.isdigit())


def _begins(text: str, place: int) -> bool:
    """Whether what stands before a candidate lets it be a number of its own."""
    before = text[max(0, place - 1) : place]
    return not (before and (_is_word(before) or before in _NOT_BEFORE))


def _ends(text: str, place: int) -> bool:
    behind = text[place : place + 2]
    if behind[:1] and (_is_word(behind[0]) or behind[0] in _NOT_BEHIND):
        return False
    return not (len(behind) == 2 and behind[0] in ".,:" and behind[1].isdigit())


def _digits(written: str) -> str:
    return "".join(filter(str.isdigit, written))


def _labelled_phone(match) -> tuple[str, str] | None:
    written, digits = match[2], _digits(match[2])
    if not 6 <= len(digits) <= 15 or _YEARS.fullmatch(written) or _is_date(written):
        return None
    if not _ends(match.string, match.end()):
        return None
    return "phone", match[1] + PHONE


def _number(match) -> tuple[str, str] | None:
    """A card or a phone number."""
    written = match[0]
    lead = "(" if written[0] == "(" and ")" not in written else ""
    if len(written) > MAX_NUMBER or not (_begins(match.string, match.start()) and _ends(match.string, match.end())):
        return None
    written = written.removeprefix(lead)
    digits = _digits(written)
    if _is_card(written, digits):
        return "card", lead + CARD
    return ("phone", lead + PHONE) if _is_phone(written, digits) else None
