"""Personal data: what is masked, what must stay, and the time that it takes."""

import time

import pytest

from pipeline import personal
from pipeline.personal import CARD, EMAIL, IBAN, IPV4, IPV6, PHONE

MASKED = [
    ("write to jane.doe+x@mail.example.org.", f"write to {EMAIL}.", "email"),
    ("почта иван@почта.рф!", f"почта {EMAIL}!", "email"),
    ("from 8.8.8.8, 10.0.0.1 and 300.1.1.1", f"from {IPV4}, 10.0.0.1 and 300.1.1.1", "ip"),
    ("It is 8.8.8.8.", f"It is {IPV4}.", "ip"),
    ("at 2606:4700:4700::1111 or fe80::1 or 12:30:45", f"at {IPV6} or fe80::1 or 12:30:45", "ip"),
    ("call +49 30 901820 today", f"call {PHONE} today", "phone"),
    ("call +1 (415) 555-2671.", f"call {PHONE}.", "phone"),
    ("call +442079460958, or", f"call {PHONE}, or", "phone"),
    ("call 0033 1 42 68 53 00", f"call {PHONE}", "phone"),
    ("call (415) 555-2671 or", f"call {PHONE} or", "phone"),
    ("call 415-555-2671;", f"call {PHONE};", "phone"),
    ("call 1-800-555-2671!", f"call {PHONE}!", "phone"),
    ("au 01 42 68 53 00", f"au {PHONE}", "phone"),
    ("au 01.42.68.53.00.", f"au {PHONE}.", "phone"),
    ("on 020 7946 0958", f"on {PHONE}", "phone"),
    ("(020 7946 0958)", f"({PHONE})", "phone"),
    ("on 07700 900123", f"on {PHONE}", "phone"),
    ("on (02) 9374 4000", f"on {PHONE}", "phone"),
    ("unter 030/1234567", f"unter {PHONE}", "phone"),
    ("unter (0711) 12 34 56-78", f"unter {PHONE}", "phone"),
    ("電話 03-1234-5678", f"電話 {PHONE}", "phone"),
    ("手机138-1234-5678或", f"手机{PHONE}或", "phone"),
    ("звоните 8 (495) 123-45-67", f"звоните {PHONE}", "phone"),
    ("звоните 8-800-555-35-35", f"звоните {PHONE}", "phone"),
    ("ligue (11) 98765-4321", f"ligue {PHONE}", "phone"),
    ("Tel.: 12345678", f"Tel.: {PHONE}", "phone"),
    ("Phone: 555 1234", f"Phone: {PHONE}", "phone"),
    ("тел. 22-33-44", f"тел. {PHONE}", "phone"),
    ("电话：66778899", f"电话：{PHONE}", "phone"),
    ("IBAN DE89 3704 0044 0532 0130 00 BIC X", f"IBAN {IBAN} BIC X", "iban"),
    ("IBAN GB82WEST12345698765432.", f"IBAN {IBAN}.", "iban"),
    ("NO93 8601 1117 947", IBAN, "iban"),
    ("card 4111 1111 1111 1111 paid", f"card {CARD} paid", "card"),
    ("card 5500-0055-5555-5559", f"card {CARD}", "card"),
    ("card 378282246310005", f"card {CARD}", "card"),
    ("card 3782 822463 10005", f"card {CARD}", "card"),
]

KEPT = [
    "@user and a@b and x @ y.com",
    "version 1.2.3.4.5 and build 10.0.19045.3803",
    "std::vector 2024:10:11",
    "on 2024-05-06, 06.05.2024, 6/5/2024 and 2024/05/06 12:30:45",
    "from 2019-2020, 1939–1945, 12/2019-03/2020 and 0123/2024",
    "it costs $1,234,567.89, 1 234 567 €, 12.345.678,90 or £ 100 000 000",
    "ISBN 978-3-16-148410-0, ISBN 0-306-40615-2, ISBN 0306406152, ISSN 0378-5955",
    "EAN 4006381333931, order 123-4567890-1234567, id 1234567890123456",
    "DOI 10.1000/182 and arXiv:2112.11446, RFC 2616, ISO 8601-1:2019",
    "card 4111 1111 1111 1112 and IBAN DE88 3704 0044 0532 0130 00 check wrong",
    "https://example.com/p/4111111111111111?tel=02079460958&x=+442079460958",
    "pages 01 02 03 04 05 06 and 01 02 03 04 05 and 1 2 3 4 5 6 7 8 9",
    "table 12 34 56 78 90 12 34 56 78 90 12 34 56 78 90 12 34 56 78 90",
    "1 000 000 000 people, 123 456 789 stars, 12345678901 views",
    "coordinates 52.5200 13.4050, N 52 31 12 E 13 24 18, +52.520008 -13.404954",
    "the score was 21-19 21-15 and 6-4 7-6 6-3, lottery 3 14 15 92 65 35",
    "population growth +1 000 000 000 and +20 000 000",
    "size 100x200-300x400, 1080p, 4K, DIN 18040-2, part no. A0123-4567-890",
    "Mobile: 2019-2020 and phone: 12.05.2024",
    "NCT01234567, PMID: 12345678, CAS 7732-18-5, UTC+01:00",
    "09:30-17:00, 10.00-18.30, Mo-Fr 08.00-12.00",
]


@pytest.mark.parametrize(("raw", "want", "kind"), MASKED)
def test_mask(raw, want, kind):
    assert personal.mask(raw) == (want, {kind: 1})


@pytest.mark.parametrize("raw", KEPT)
def test_what_stays(raw):
    assert personal.mask(raw) == (raw, {})


def test_stand_ins_are_not_found_again():
    text = "\n".join(want for _, want, _ in MASKED)
    assert personal.mask(text) == (text, {})


def test_counts_by_kind():
    text = "8.8.8.8 8.8.4.4 a@b.org +49 30 901820"
    assert personal.mask(text) == (f"{IPV4} {IPV4} {EMAIL} {PHONE}", {"ip": 2, "email": 1, "phone": 1})
    assert set(personal.mask("\n".join(raw for raw, _, _ in MASKED))[1]) == set(personal.KINDS)


@pytest.mark.parametrize(
    "raw",
    [
        *("@." * 500_000, "1." * 500_000, "1 " * 500_000, "a@" * 500_000, "(1" * 500_000, "0:" * 500_000),
        *("DE89 " * 200_000, "+1" * 500_000, "tel: " * 200_000, "0" * 1_000_000, "8.8.8.8 " * 60_000),
    ],
)
def test_hostile_text_takes_bounded_time(raw):
    start = time.process_time()
    personal.mask(raw)
    assert time.process_time() - start < 3
