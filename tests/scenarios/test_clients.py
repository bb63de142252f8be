"""Clients and servers that people use, and load."""

import asyncio
import json
import threading

import aiohttp
import httpx
import pytest
from aiohttp import web

from tests.scenarios.harness.content import MIB, content, sha256
from tests.scenarios.harness.peers import free_port, load, nginx


def test_httpx(site):
    shop = site()
    body = content(3 * MIB)

    def parts():
        for at in range(0, len(body), 100_001):
            yield body[at:at + 100_001]

    with httpx.Client(headers={"Host": shop.host}, trust_env=False) as client:
        for n in range(20):
            assert client.get(shop.daemon.url(f"/{n}")).json()["target"] == f"/{n}"
        told = client.post(shop.daemon.url("/up"), content=parts()).json()      # chunked
        assert told["sha256"] == sha256(body)
        told = client.put(shop.daemon.url("/up"), content=body).json()
        assert told["sha256"] == sha256(body)
        assert client.head(shop.daemon.url()).status_code == 200
        assert client.get(shop.daemon.url("/a b?c=ü")).json()["target"] == "/a%20b?c=%C3%BC"
    assert len(shop.backend.peers) == 1


def test_aiohttp_on_both_ends(site):
    async def hash_of_body(request):
        return web.json_response({"sha256": sha256(await request.read()), "host": request.host})

    async def stream(request):
        response = web.StreamResponse()
        await response.prepare(request)
        for at in range(0, MIB, 10_007):
            await response.write(content(MIB)[at:at + 10_007])
        return response

    async def both_ends(site):
        app = web.Application(client_max_size=100 * MIB)
        app.add_routes([web.post("/hash", hash_of_body), web.get("/stream", stream)])
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port := free_port()).start()
        shop = await asyncio.to_thread(site, to=[f"127.0.0.1:{port}"])

        async def one(session, n):
            body = content(100_000 + n)
            async with session.post(shop.daemon.url("/hash"), data=body) as answer:
                assert (await answer.json()) == {"sha256": sha256(body), "host": shop.host}
            async with session.get(shop.daemon.url("/stream")) as answer:
                assert sha256(await answer.read()) == sha256(content(MIB))

        async with aiohttp.ClientSession(headers={"Host": shop.host}) as session:
            await asyncio.gather(*(one(session, n) for n in range(30)))
        await runner.cleanup()

    asyncio.run(both_ends(site))


@pytest.fixture
def pages(tmp_path):
    """nginx with a few pages; its port."""
    port = free_port()
    root = tmp_path / "nginx" / "www"
    root.mkdir(parents=True)
    (root / "small").write_bytes(b"hello")
    (root / "large").write_bytes(content(5 * MIB))
    server = nginx(tmp_path / "nginx", f"""
        listen 127.0.0.1:{port};
        root {root};
        location = /moved {{ return 301 http://elsewhere.test/; }}
        location = /gone {{ return 204; }}
    """)
    yield port
    server.stop()


def test_nginx_as_the_endpoint(site, pages):
    shop = site(to=[f"127.0.0.1:{pages}"])
    assert shop.ask("/small").body == b"hello"
    assert sha256(shop.ask("/large").body) == sha256(content(5 * MIB))
    assert shop.ask("/nothing").status == 404
    assert shop.ask("/gone").status == 204
    moved = shop.ask("/moved")
    assert (moved.status, moved.get("location")) == (301, "http://elsewhere.test/")
    part = shop.ask("/large", Range="bytes=100-199")
    assert (part.status, part.body) == (206, content(5 * MIB)[100:200])
    assert shop.ask("/small").get("server", ).startswith("nginx")
    fresh = shop.ask("/small").get("etag")
    assert shop.ask("/small", If_None_Match=fresh).status == 304


@pytest.mark.parametrize(("path", "connections"), [("/small", 64), ("/large", 8)])
def test_load_without_a_single_error(site, pages, path, connections):
    shop = site(to=[f"127.0.0.1:{pages}"])
    assert load(shop.daemon.url(path), connections=connections, seconds=2, host=shop.host) > 50


def test_many_clients_at_once_keep_their_answers_apart(site):
    shop = site()
    wrong: list[str] = []

    def asks(n: int) -> None:
        with shop.daemon.connect() as client:
            for i in range(50):
                if json.loads(client.ask(f"/{n}/{i}", shop.host).body)["target"] != f"/{n}/{i}":
                    wrong.append(f"/{n}/{i}")

    threads = [threading.Thread(target=asks, args=(n,)) for n in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
