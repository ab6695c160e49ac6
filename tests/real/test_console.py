"""The console at an API server: who gets in, what two tokens of different rights see, live."""

from __future__ import annotations

import asyncio
import html
import os
import re
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.support import apiserver, consoled
from tests.support import objects as made
from tests.support.patience import PATIENCE
from weft.console import guard, libraries, pages, rendering, server
from weft.console.page import Access, Outcome, Page, Question
from weft.kube import resources
from weft.kube.client import Client
from weft.kube.resources import Resource

pytestmark = pytest.mark.real

SHOP = "shop"
ROLES = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role")
BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")
TOKENS = "/api/v1/namespaces/shop/serviceaccounts/tenant/token"
MARKUP = "<script>alert(1)</script><img src=x onerror=alert(2)>"


@dataclass(frozen=True)
class World:
    server: apiserver.Server
    api: Client
    tenant: str  # a token that may read Events in the namespace shop, and nothing else

    def console(self, **options: Any) -> Any:
        """A console, and a browser."""
        return consoled.running(server.connector(str(self.server.kubeconfig)), **options)


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    async with (
        apiserver.running(folder) as started,
        Client.from_kubeconfig(str(started.kubeconfig)) as api,
    ):
        await api.create(resources.NAMESPACES, {"metadata": {"name": SHOP}})
        account = {"metadata": {"name": "tenant", "namespace": SHOP}}
        await api.create(resources.SERVICE_ACCOUNTS, account)
        rule = {"apiGroups": [""], "resources": ["events"], "verbs": ["get", "list", "watch"]}
        role = {"metadata": {"name": "reads", "namespace": SHOP}, "rules": [rule]}
        await api.create(ROLES, role)
        binding = {
            "metadata": {"name": "reads", "namespace": SHOP},
            "roleRef": {"apiGroup": ROLES.group, "kind": "Role", "name": "reads"},
            "subjects": [{"kind": "ServiceAccount", "name": "tenant", "namespace": SHOP}],
        }
        await api.create(BINDINGS, binding)
        await network(api, "blue")
        async with (
            aiohttp.ClientSession(headers=started.headers) as session,
            session.post(started.url + TOKENS, json={}) as answer,
        ):
            token = (await answer.json())["status"]["token"]
        yield World(started, api, token)


async def network(api: Client, name: str, message: str = "is full") -> None:
    """A network whose condition has this message."""
    await api.create(resources.NETWORKS, made.named(resources.NETWORKS, name))
    condition = {"type": "AddressesFree", "status": "False", "reason": "Exhausted"}
    when = {"lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1}
    conditions = [{**condition, **when, "message": message}]
    status = {"status": {"network": name, "conditions": conditions}}
    await api.patch(resources.NETWORKS, name, "", status, subresource="status")


async def event(api: Client, namespace: str, message: str) -> None:
    about = {"kind": "Pod", "namespace": namespace, "name": "web"}
    meta = {"generateName": "web-", "namespace": namespace}
    body = {"metadata": meta, "involvedObject": about, "reason": "Told", "message": message}
    await api.create(resources.EVENTS, body)


async def test_who_gets_in_and_what_every_answer_forbids(tmp_path: Path) -> None:
    async with world(tmp_path) as of, of.console() as browser:
        paths = ["/", "/networks", "/nonsense", "/static/console.css", "/live/", "/login"]
        for path in (*paths, "/enter?key=wrong", "/static/../server.py", "/enter"):
            status, text, headers = await browser.get(path)
            assert status in (401, 403, 404) or path == "/static/console.css", (path, status)
            assert "blue" not in text
            for name in set(guard.HEADERS) - {"Cache-Control"}:
                assert headers[name] == guard.HEADERS[name], path
        await browser.enter()
        for path, expected in (("/", 200), ("/networks", 200), ("/networks/red", 404)):
            status, _, headers = await browser.get(path)
            assert status == expected
            assert headers.items() >= guard.HEADERS.items()
        status, _, _ = await browser.get(
            "/", Host=f"evil.example:{browser.base.rpartition(':')[2]}"
        )
        assert status == 421
        for path in ("/live/", "/live/networks"):
            assert (await browser.get(path))[0] == 403, "no sign of an own page"
            origin = {"Origin": "http://evil.example"}
            assert (await browser.get(path, **consoled.OWN, **origin))[0] == 403
        status, text, _ = await browser.get("/networks?namespace=NO")
        assert (status, "lower case" in text) == (400, True)


async def test_a_link_is_good_for_one_browser(tmp_path: Path) -> None:
    async with world(tmp_path) as of, of.console() as browser:
        first = browser.links[0]
        await browser.enter()
        assert len(browser.links) == 2
        async with aiohttp.ClientSession() as another, another.get(first) as answer:
            assert answer.status == 403
            assert not answer.cookies


async def test_a_page_changes_while_it_is_open(tmp_path: Path) -> None:
    async with world(tmp_path) as of, of.console() as browser:
        await browser.enter()
        async with browser.stream("/networks") as until:
            assert "blue" in str(await until("event: page"))
            await network(of.api, "green")
            await until("green")
            await of.api.delete(resources.NETWORKS, "blue")
            async with asyncio.timeout(PATIENCE):
                while "blue" in str(await until("event: page")):
                    pass


async def test_what_comes_from_the_cluster_is_text(tmp_path: Path) -> None:
    async with world(tmp_path) as of, of.console() as browser:
        await network(of.api, "red", MARKUP)
        await event(of.api, SHOP, MARKUP)
        await browser.enter()
        for path in ("/", "/networks/red", "/events", f"/events?namespace={SHOP}&about={MARKUP}"):
            _, text, _ = await browser.get(path)
            assert "alert(1)" in text, path
            assert "<script>alert" not in text
            assert "<img" not in text


async def test_each_viewer_sees_what_its_token_may_list(tmp_path: Path) -> None:
    async with world(tmp_path) as of, of.console(is_login=True) as browser:
        await event(of.api, SHOP, "seen by the tenant")
        await event(of.api, "default", "of somebody else")
        assert (await browser.get("/"))[0] == 303
        status, text, _ = await browser.post("/login", {"token": "no-such-token"})
        assert (status, "does not know this token" in text) == (401, True)
        foreign = {"Origin": "http://evil.example"}
        assert (await browser.post("/login", {"token": of.tenant}, foreign))[0] == 403

        status, _, headers = await browser.post("/login", {"token": of.tenant})
        assert status == 303
        cookie = headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert of.tenant not in cookie
        _, text, _ = await browser.get("/networks")
        assert "You may not list Networks" in text
        assert "blue" not in text
        _, text, _ = await browser.get("/events")
        assert "seen by the tenant" not in text
        assert "You may not list Events" in text
        _, text, _ = await browser.get(f"/events?namespace={SHOP}")
        assert "seen by the tenant" in text
        assert "somebody else" not in text
        assert (await browser.get("/networks/blue"))[0] == 404

        assert (await browser.post("/logout", {}))[0] == 403, "no form token"
        token = await browser.form_token()
        status, _, headers = await browser.post("/logout", {"form_token": token})
        assert status == 303
        assert (await browser.get("/networks"))[0] == 303
        kept = {"Cookie": cookie.partition(";")[0]}
        assert (await browser.get("/networks", **kept))[0] == 303, "a copy of the cookie"

        await browser.post("/login", {"token": of.server.token})
        _, text, _ = await browser.get("/networks")
        assert "blue" in text
        assert "may not" not in text


async def test_pages_work_without_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libraries, "FOLDER", tmp_path / "none")
    async with world(tmp_path) as of, of.console() as browser:
        await browser.enter()
        status, text, _ = await browser.get("/networks")
        assert (status, "blue" in text) == (200, True)
        assert "is not updated while it is open" in text
        assert '<script defer src="/libraries' not in text


async def test_a_browser_that_has_the_page_is_sent_what_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libraries, "LIVE", ())  # whether or not this machine has them
    async with world(tmp_path) as of, of.console() as browser:
        await browser.enter()
        _, text, _ = await browser.get("/networks")
        found = re.search(r'sse-connect="/live(/networks[^"]*)"', text)
        assert found
        async with browser.stream(found[1]) as until:
            await network(of.api, "green")
            assert "green" in str(await until("event: page"))


async def _rename(access: Access, asked: Question, form: Mapping[str, str]) -> Outcome:
    body = {"metadata": {"annotations": {"title": form["title"]}}}
    await access.client.patch(resources.NAMESPACES, asked.namespace, "", body)
    return Outcome(f"{asked.namespace} is called {form['title']}")


async def _count(access: Access, asked: Question) -> AsyncGenerator[object, None]:
    for number in range(int(asked.query["to"])):
        yield number
    await access.client.get(resources.NAMESPACES, "no-such-namespace")


async def _echo(api: Client, asked: Question, ws: web.WebSocketResponse) -> None:
    async for message in ws:
        if message.data == "end":
            return
        await ws.send_str(f"{asked.namespace} {message.data}")


@asynccontextmanager
async def own_page(of: World, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A browser at a console with one more page, which has a form, a job and a socket."""
    templates = folder / "templates/pages"
    templates.mkdir(parents=True)
    form = '{{ parts.form(action("rename"), form_token, "Rename", {"title": "x"}) }}'
    links = '<a href="{{ job("count", to="3") }}">job</a> {{ socket("echo") }}'
    imported = '{% import "templates/parts.html" as parts %}'
    (templates / "own.html").write_text(f"{imported}{form}{links}")
    (templates / "own.count.html").write_text("<li>{{ line }}</li>")
    monkeypatch.setattr(rendering, "FOLDERS", [*rendering.FOLDERS, folder / "templates"])
    page = Page(
        name="own",
        path="/own",
        reads=(),
        view=lambda reading, asked: None,
        heading="Own",
        actions={"rename": _rename},
        jobs={"count": _count},
        sockets={"echo": _echo},
    )
    monkeypatch.setattr(pages, "listed", lambda: (page,))
    async with of.console() as browser:
        await browser.enter()
        yield browser


async def test_a_form_writes_with_its_sessions_token_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path) as of, own_page(of, tmp_path, monkeypatch) as browser:
        where, form = "/own/-/rename?namespace=shop", {"title": MARKUP}
        token = await browser.form_token("/own?namespace=shop")
        for headers in ({}, {"Origin": "null"}, {"Sec-Fetch-Site": "same-site"}):
            status, _, _ = await browser.post(where, {**form, "form_token": token}, headers)
            assert status == 403
        assert (await browser.post(where, form))[0] == 403
        assert (await browser.post(where, {**form, "form_token": "0" * 64}))[0] == 403
        meta = (await of.api.get(resources.NAMESPACES, SHOP))["metadata"]
        assert "title" not in meta.get("annotations", {})

        status, text, _ = await browser.post(where, {**form, "form_token": token})
        assert (status, "shop is called &lt;script" in text) == (200, True)
        nowhere = where.replace("shop", "nowhere")
        status, text, _ = await browser.post(nowhere, {**form, "form_token": token})
        assert (status, "nowhere" in text, "notice fail" in text) == (422, True, True)


async def test_a_job_streams_lines_and_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path) as of, own_page(of, tmp_path, monkeypatch) as browser:
        assert (await browser.get("/live/own/-/count?to=3", **consoled.OWN))[0] == 403
        _, text, _ = await browser.get("/own")
        found = re.search(r'href="(/live/own[^"]*)"', text)
        assert found
        where = html.unescape(found[1])
        assert (await browser.get(where))[0] == 403, "no sign of an own page"
        status, text, _ = await browser.get(where, **consoled.OWN)
        assert status == 200
        assert text.count("event: line") == 4
        assert "<li>2</li>" in text
        assert "no-such-namespace" in text
        assert text.endswith("event: end\ndata: \n\n")


async def test_jobs_start_by_themselves_where_no_other_site_has_led(tmp_path: Path) -> None:
    async with world(tmp_path) as of, of.console() as browser:
        await browser.enter()
        for path in ("/flows?network=", "/explain?a=web&b=db", "/topology/physical"):
            for fetched, starts in (("none", True), ("same-origin", True), ("same-site", False)):
                how = {"Sec-Fetch-Site": fetched, "Sec-Fetch-Mode": "navigate"}
                _, text, _ = await browser.get(path, **how)
                assert bool(re.search(r"<div [^>]*data-job=", text)) is starts, (path, fetched)
                assert bool(re.search(r"<button [^>]*data-job=", text)) is not starts


async def test_a_socket_opens_for_own_pages_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path) as of, own_page(of, tmp_path, monkeypatch) as browser:
        where = browser.base + "/socket/own/-/echo?namespace=shop"
        for headers in ({}, {"Origin": "http://evil.example"}):
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await browser.session.ws_connect(where, headers=headers)
        async with browser.session.ws_connect(where, origin=browser.base) as ws:
            await ws.send_str("hello")
            assert await ws.receive_str() == "shop hello"
            await ws.send_str("end")
            assert (await ws.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)


async def test_the_command_prints_where_to_go_and_ends_when_it_is_interrupted(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as of:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "weft", "console", f"--kubeconfig={of.server.kubeconfig}"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(PATIENCE):
                line = (await process.stdout.readline()).decode()
            jar = aiohttp.CookieJar(unsafe=True)
            async with aiohttp.ClientSession(cookie_jar=jar) as session:
                async with session.get(line.split()[1]) as answer:
                    assert answer.status == 200
                async with session.get(
                    line.split()[1].partition("/enter")[0] + "/networks"
                ) as answer:
                    assert (answer.status, "Networks" in await answer.text()) == (200, True)
                process.send_signal(signal.SIGINT)
                async with asyncio.timeout(PATIENCE):
                    _, why = await process.communicate()
            assert process.returncode == 0
            assert b"Traceback" not in why
        finally:
            if process.returncode is None:
                process.kill()


async def test_the_command_ends_well_as_soon_as_the_address_is_there(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(KUBECONFIG)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "weft", "console", f"--kubeconfig={kubeconfig}"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        assert await process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0


KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: a
contexts: [{name: a, context: {cluster: a, user: a}}]
clusters: [{name: a, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: a, user: {}}]
"""
FETCH = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
async def test_another_user_of_the_machine_does_not_enter_even_with_the_secret(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as of, of.console() as browser:
        link = browser.links[0]
        for user, is_in in ((65534, False), (0, True)):
            fetching = await asyncio.create_subprocess_exec(
                "/usr/bin/python3", "-c", FETCH, link, stdout=-1, stderr=-1, user=user, cwd="/"
            )
            out, why = await fetching.communicate()
            assert (b"You are let in" in out) is is_in, why
        assert b"403" not in why


async def test_a_policy_is_edited_after_its_effect_was_shown(tmp_path: Path) -> None:
    async with world(tmp_path) as of, of.console() as browser:
        await browser.enter()
        policy = made.policy("web", app="b", networks="default/blue", ingress=[])
        await of.api.create(resources.MULTINETWORKPOLICIES, policy)
        await of.api.create(resources.NADS, made.nad("blue", "10.9.0.0/24"))
        where = "/policies/default/web"
        token = {"form_token": await browser.form_token(where)}
        _, text, _ = await browser.get(where)
        found = re.search(r"<textarea[^>]*>(.*?)</textarea>", text, re.DOTALL)
        assert found
        manifest = html.unescape(found[1])
        assert "app: b" in manifest
        assert f"{where}/-/apply" not in text, "its effect was not shown"

        edited = {**token, "manifest": manifest.replace("app: b", "app: c")}
        status, text, _ = await browser.post(f"{where}/-/preview", edited)
        assert (status, "What it would do" in text) == (200, True)
        assert "podSelector" in text
        mark = re.search(r'name="seen" value="([0-9a-f]+)"', text)
        assert mark
        assert f"{where}/-/apply" in text
        status, text, _ = await browser.post(f"{where}/-/apply", edited)
        assert (status, "Nothing is written yet." in text) == (200, True), "of an unseen text"
        stored = await of.api.get(resources.MULTINETWORKPOLICIES, "web", "default")
        assert stored["spec"] == policy["spec"], "nothing is written by a preview"

        edited["seen"] = mark[1]
        assert (await browser.post(f"{where}/-/apply", edited))[0] == 200
        stored = await of.api.get(resources.MULTINETWORKPOLICIES, "web", "default")
        assert stored["spec"]["podSelector"] == {"matchLabels": {"app": "c"}}
        status, text, _ = await browser.post(f"{where}/-/apply", edited)
        assert (status, "the object has been modified" in text) == (422, True)
        assert "app: c" in text, "what was typed is still there"
        broken = {**token, "manifest": "kind: Pod\nmetadata: {name: web}"}
        assert (await browser.post(f"{where}/-/apply", broken))[0] == 422

        assert (await browser.post(f"{where}/-/delete", token))[0] == 303
        _, text, _ = await browser.get("/events")
        assert "is deleted" not in text, "it is not this page's"
        _, text, _ = await browser.get("/policies")
        assert '<p class="notice ok" role="status">default/web is deleted.</p>' in text
        _, text, _ = await browser.get("/policies")
        assert "is deleted" not in text, "it is said once"
