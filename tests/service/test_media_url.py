"""URLs of clients: https, a host name, nothing that two parsers could read in two ways."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llm_judge.service.media_url import MediaUrl, media_url, no_url
from llm_judge.service.problems import Code, Problem


@pytest.mark.parametrize(
    ("text", "host", "target"),
    [
        ("https://cdn.example.com/a/b.png?width=3&x=%20#part", "cdn.example.com", "/a/b.png?width=3&x=%20"),
        ("HTTPS://CDN.Example.Com:443", "cdn.example.com", "/"),
        ("https://cdn.example.com?x=1", "cdn.example.com", "/?x=1"),
        ("https://xn--bcher-kva.example/@a:b", "xn--bcher-kva.example", "/@a:b"),
    ],
)
def test_a_plain_url_is_read(text: str, host: str, target: str) -> None:
    assert media_url(text) == MediaUrl(host, target)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://cdn.example.com/a.png",
        "ftp://cdn.example.com/a.png",
        "file:///etc/passwd",
        "gopher://cdn.example.com/",
        "data:image/png;base64,AAAA",
        "//cdn.example.com/a.png",
        "https:/cdn.example.com/a.png",
        "https:cdn.example.com",
        "https://cdn.example.com:80/a.png",
        "https://cdn.example.com:0443/a.png",
        "https://cdn.example.com:22",
        "https://user@cdn.example.com/a.png",
        "https://user:word@cdn.example.com/a.png",
        "https://cdn.example.com@127.0.0.1/",
        "https://cdn.example.com\\@127.0.0.1/",
        "https://cdn.example.com/\\..\\a",
        "https://cdn.example.com#@127.0.0.1/\x00",
        "https://cdn.example.com /a.png",
        " https://cdn.example.com/a.png",
        "https://cdn.example.com/a.png\n",
        "https://cdn.example.com/a.png\r\nHost: other",
        "https://cdn.example.com/\u2025/a.png",
        "https://cdn。example。com/a.png",
        "https://①②⑦.⓪.⓪.①/",
        "https://bücher.example/a.png",
        "https://cdn%2eexample.com/a.png",
        "https://localhost/a.png",
        "https://cdn.example.com./a.png",
        "https://.example.com/a.png",
        "https://a..example.com/a.png",
        "https://-a.example.com/a.png",
        "https://a-.example.com/a.png",
        f"https://{'a' * 64}.example.com/",
        f"https://{'a.' * 130}com/",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://0x7f.0.0.1/",
        "https://0x7f.0.0.0x1/",
        "https://0177.0.0.01/",
        "https://2130706433/",
        "https://a.2130706433/",
        "https://a.0x/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[fe80::1%25eth0]/",
        "https://93.184.216.34/",
        "https://_dmarc.example.com/",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(Problem) as caught:
        media_url(text, "items[1]: ")
    assert caught.value.code is Code.MEDIA_URL_REFUSED and caught.value.message.startswith("items[1]: ")


@given(
    st.text(alphabet="https:/.@\\#?%0123456789aAx-[]cdn example\r\n\x00。", min_size=8).map(
        "https://a".__add__
    )
)
@example("https://a.b/..//@127.0.0.1")
def test_what_is_read_is_what_other_parsers_read(text: str) -> None:
    try:
        found = media_url(text)
    except Problem:
        return
    other = urlsplit(text)
    assert (other.scheme, other.hostname, other.username, other.port) in (
        ("https", found.host, None, None),
        ("https", found.host, None, 443),
    )
    assert found.target.isascii() and found.target.isprintable() and " " not in found.target


@pytest.mark.parametrize(
    ("hosts", "lets"),
    [
        ((), True),
        (("cdn.example.com",), True),
        ((".example.com",), True),
        (("example.com",), False),
        (("cdn.example.org", "dn.example.com"), False),
        ((".n.example.com",), False),
    ],
)
def test_hosts_can_be_named(hosts: tuple[str, ...], lets: bool) -> None:
    try:
        media_url("https://cdn.example.com/", hosts=hosts)
        assert lets
    except Problem:
        assert not lets


def test_where_nothing_is_fetched_every_url_is_refused() -> None:
    with pytest.raises(Problem, match="does not fetch URLs"):
        no_url("https://cdn.example.com/a.png")
