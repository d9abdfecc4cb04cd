"""Media by URL: fetched whole from a public address, or a problem; never from anywhere else."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from media_host import HOST, PUBLIC, Host, media_host
from serving import FIRES_ON, guidelines, running, scripted

from llm_judge.service.judges import Judges
from llm_judge.service.media_fetch import MediaFetcher, addresses_of
from llm_judge.service.settings import ServiceSettings
from llm_judge.service.state import Service, build

CAP = 20_000


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with media_host(tmp_path_factory.mktemp("host"), FIRES_ON.encode()) as found:
        yield found


def fetching_from(host: Host, seconds: float) -> Service:
    def fetching(*parts: Any) -> MediaFetcher:
        return MediaFetcher(*parts, resolve=host.resolve, network=host.network, tls=host.tls)

    settings = ServiceSettings(fetch_media=True, fetch_seconds=seconds, body_bytes=CAP)
    return build(Judges(guidelines(), scripted()), settings, fetching=fetching)


@pytest.fixture(scope="module")
def service(host: Host) -> Iterator[Service]:
    built = fetching_from(host, 15)
    yield built
    built.close()


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[httpx.Client]:
    with running(service) as url, httpx.Client(base_url=url, timeout=20) as opened:
        yield opened


@pytest.fixture(autouse=True)
def forget(host: Host) -> Iterator[None]:
    """Each test starts with a host that nobody asked anything."""
    for kept in (host.answers.seen, host.network.went, host.names, host.addresses):
        kept.clear()  # type: ignore[attr-defined]
    yield


def judged(client: httpx.Client, path: str, host: str = HOST) -> Any:
    return client.post("/v1/judge", json={"media": {"url": f"https://{host}{path}"}}).json()


def problem(client: httpx.Client, path: str, host: str = HOST) -> tuple[str, str]:
    error = judged(client, path, host)["error"]
    assert error["fail_mode"]["action"] == "review"
    return error["code"], error["message"]


def test_what_is_fetched_is_judged_like_data(client: httpx.Client, host: Host, service: Service) -> None:
    reply = judged(client, "/file?a=b#c")
    assert reply["action"] == "remove" and reply["item"]["modality"] == "text"
    assert host.network.went == [(PUBLIC, 443)]
    assert host.answers.seen == [("/file?a=b", HOST)]
    assert judged(client, "/until_closed")["action"] == "remove"
    assert service.bodies.held == 0


def test_batches_and_moderations_fetch_too(client: httpx.Client) -> None:
    url = f"https://{HOST}/file"
    items = [{"media": {"url": url}}, {"media": {"url": f"https://{HOST}/missing"}}, {"text": "Water it."}]
    results = client.post("/v1/judge/batch", json={"items": items}).json()["results"]
    assert [row["status"] for row in results] == [200, 422, 200]
    assert results[1]["error"]["code"] == "media_not_fetched"
    parts = [{"type": "image_url", "image_url": {"url": url}}]
    assert client.post("/v1/moderations", json={"input": parts}).json()["results"][0]["flagged"] is True


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["10.0.0.7"],
        ["169.254.169.254"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["0.0.0.0"],  # noqa: S104
        [PUBLIC, "10.0.0.7"],
        ["10.0.0.7", PUBLIC],
        [],
    ],
)
def test_a_host_with_an_address_that_is_not_public_is_not_asked(
    client: httpx.Client, host: Host, addresses: list[str]
) -> None:
    host.addresses.append(addresses)
    assert problem(client, "/file") == (
        "media_not_fetched",
        "the media behind the URL could not be fetched: its host has no public address",
    )
    assert host.network.went == [] and host.answers.seen == []


def test_a_name_that_changes_its_address_is_looked_up_once(client: httpx.Client, host: Host) -> None:
    host.addresses += [[PUBLIC], ["127.0.0.1"]]
    assert judged(client, "/file")["action"] == "remove"
    assert host.names == [HOST] and host.network.went == [(PUBLIC, 443)]
    assert problem(client, "/file")[0] == "media_not_fetched"  # the next fetch looks again, and checks again
    assert host.network.went == [(PUBLIC, 443)]


@pytest.mark.parametrize(
    ("path", "code", "told"),
    [
        ("/redirect", "media_not_fetched", "status 302"),
        ("/missing", "media_not_fetched", "status 404"),
        ("/packed", "media_not_fetched", "packed"),
        ("/too_little", "media_not_fetched", "not whole"),
        ("/garbage", "media_not_fetched", "not whole"),
        ("/announced", "content_too_large", "over"),
        ("/endless", "content_too_large", "over"),
    ],
)
def test_answers_that_are_not_plain_files_are_told(
    client: httpx.Client, host: Host, service: Service, path: str, code: str, told: str
) -> None:
    found, message = problem(client, path)
    assert found == code and told in message
    assert len(host.answers.seen) == 1 and service.bodies.held == 0


def test_a_slow_answer_is_cut_off(host: Host) -> None:
    hurried = fetching_from(host, 0.3)
    with running(hurried) as url, httpx.Client(base_url=url, timeout=20) as opened:
        code, message = problem(opened, "/slow")
    hurried.close()
    assert code == "media_not_fetched" and "over 0.3 s" in message


def test_what_comes_after_the_announced_length_is_not_read(client: httpx.Client) -> None:
    assert judged(client, "/too_much")["item"]["coverage"]["total"] == len(FIRES_ON) - 10


def test_a_certificate_of_another_name_is_not_trusted(client: httpx.Client, host: Host) -> None:
    assert problem(client, "/file", "other.example.com")[0] == "media_not_fetched"
    assert host.answers.seen == []


@pytest.mark.parametrize(
    "url", ["http://cdn.example.com/", "https://127.0.0.1/", "https://a@cdn.example.com/", "https://[::1]/"]
)
def test_urls_that_are_not_fetched_are_refused_before_anything_is_looked_up(
    client: httpx.Client, host: Host, url: str
) -> None:
    parts = [{"type": "image_url", "image_url": {"url": url}}]
    for path, body in (
        ("/v1/judge", {"media": {"url": url}}),
        ("/v1/judge/batch", {"items": [{"media": {"url": url}}]}),
        ("/v1/moderations", {"input": parts}),
    ):
        answer = client.post(path, json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "media_url_refused")
    assert host.names == []


def test_a_deadline_ends_a_fetch(client: httpx.Client) -> None:
    started = time.monotonic()
    body = {"media": {"url": f"https://{HOST}/slow"}, "deadline_ms": 100}
    assert client.post("/v1/judge", json=body).status_code == 504
    assert time.monotonic() - started < 5


def test_data_and_url_together_are_a_mistake(client: httpx.Client) -> None:
    answer = client.post("/v1/judge", json={"media": {"url": f"https://{HOST}/file", "data": "AAAA"}})
    assert answer.json()["error"]["code"] == "bad_request"


def test_fetches_are_counted_by_what_came_of_them(client: httpx.Client) -> None:
    judged(client, "/file")
    judged(client, "/missing")
    text = client.get("/metrics").text
    for outcome in ("ok", "media_not_fetched"):
        assert f'judge_media_fetches_total{{outcome="{outcome}"}}' in text
    assert HOST not in text


def test_the_machines_own_resolver_gives_addresses() -> None:
    assert set(addresses_of("localhost")) <= {"127.0.0.1", "::1"}
    with pytest.raises(OSError):
        addresses_of("no-such-host.invalid")


def test_without_the_test_network_this_machine_is_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real fetcher, a name that resolves to this machine: nothing is connected to."""
    monkeypatch.setattr("llm_judge.service.media_fetch.addresses_of", lambda _: ["127.0.0.1"])
    connected: list[object] = []
    real = socket.socket.connect
    built = build(Judges(guidelines(), scripted()), ServiceSettings(fetch_media=True))
    with running(built) as url, httpx.Client(base_url=url) as opened:
        opened.get("/livez")

        def noted(self: socket.socket, address: Any) -> None:
            connected.append(address)
            real(self, address)

        monkeypatch.setattr(socket.socket, "connect", noted)
        assert problem(opened, "/file")[0] == "media_not_fetched"
    built.close()
    assert not [address for address in connected if address[1] == 443]  # type: ignore[index]
