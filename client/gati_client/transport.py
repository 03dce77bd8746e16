"""One registry over HTTP: credentials, retries, redirects, limits. Everything that goes out goes out here.

Two things hold for all requests: a secret goes to the registry's own origin and to its token service, nowhere else;
and nothing that a server says is read further than a limit, or waited for longer than one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import ssl
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cached_property

from gati_client import hosts
from gati_client.answers import Answer, refusal
from gati_client.auth import Credential, Credentials
from gati_client.errors import Denied, GatiError, Integrity, Network, Usage
from gati_client.lanes import Errand, Item, Lanes, Reply, Sent, T, Take
from gati_client.quick import httpx
from gati_client.surroundings import authorities, proxied
from gati_client.tokens import Challenge, Tokens, basic, parse_challenge

MAX_DOCUMENT = 32 << 20
"""Bytes of an answer that is no blob: lists, manifests, documents of extensions."""

_MAX_ERROR = 64 * 1024
_MAX_TOKEN_ANSWER = 256 * 1024
_MAX_REDIRECTS = 5
_MISSES = 3  # of short ways, after which the careful one is taken at once
_LOG = logging.getLogger(__name__)

_AGAIN = (408, 429, 500, 502, 503, 504)
_REFUSED = (400, 404, 405, 409, 410, 412, 413, 416)  # whoever asks
_SAFE = ("GET", "HEAD", "PUT", "DELETE")  # asked again, they do the same
_FIRST_TRIES = 4  # to reach one that never answered: the address is wrong more often than the registry is restarted
_REDIRECTS = (301, 302, 303, 307, 308)
# Bytes are hashed as they come; packed answers are a way to send bombs.
_HEADERS = {"User-Agent": "gati-client", "Accept-Encoding": "identity", "Accept": "*/*"}

Body = bytes | Callable[[], AsyncIterator[bytes]]
"""What is sent: bytes, or what makes a fresh iterator for each try (with a Content-Length among the headers)."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds, and how often to try."""

    connect: float = 15.0
    piece: float = 60.0  # for the next bytes
    answer: float = 120.0  # for the head of an answer, and for a whole small one
    slowest: float = 1024.0  # bytes a second, over any longer time
    tries: int = 6
    first_delay: float = 0.25
    longest_delay: float = 30.0


class Transport:
    """Requests to one registry. Made inside a running loop; whoever makes it closes it."""

    def __init__(
        self,
        registry: str,
        *,
        credentials: Credentials | None = None,
        insecure: bool = False,
        patience: Patience | None = None,
        trusted_realms: Sequence[str] = (),
        connections: int = 16,
    ) -> None:
        self.origin = hosts.Origin.parse(registry, insecure=insecure)
        self.host = self.origin.name
        self.patience = patience or Patience()
        self._credentials = credentials
        self._credential: Credential | None = None
        self._asked = asyncio.Lock()
        self._known = credentials is None
        self._challenge: Challenge | None = None
        self._wider: dict[tuple[str, frozenset[str]], frozenset[str]] = {}
        self._trusted_realms = trusted_realms
        self._bearer_refused = False
        self._connections = connections
        self._clients: dict[str, httpx.AsyncClient] = {}
        self._context: ssl.SSLContext | None = None
        self._lanes: Lanes | None = None
        self._straight = False
        self._met = False
        self._closed = False
        self._misses = 0  # answers to `_short` that were not what it looks for
        self._proxied = not hosts.loopback(self.origin.host) and proxied()

    @cached_property
    def url(self) -> httpx.URL:
        """The registry's."""
        return httpx.URL(f"{self.origin.scheme}://{self.origin.name}")

    @cached_property
    def _tokens(self) -> Tokens:
        return Tokens(self.url, self._ask_token, self._trusted_realms)

    async def close(self) -> None:
        """Close all connections; what is asked afterwards raises `Usage`."""
        self._closed = True
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()
        if self._lanes is not None:
            self._lanes.close()
            self._lanes = None

    async def ask(
        self,
        method: str,
        path: str | httpx.URL,
        *,
        action: str,
        scopes: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        content: Body | None = None,
        expected: Collection[int] = (200,),
        limit: int = MAX_DOCUMENT,
        waiting: float = 0.0,
        again: bool | None = None,
        short: bool | None = None,
    ) -> Answer:
        """One request, its whole answer.

        Args:
            action: what it is, for errors: `{host} refused to {action}`.
            scopes: of the token, such as `repository:a/b:pull`.
            expected: statuses that are no error.
            limit: bytes of the body; more is an error.
            waiting: seconds that the answer may take beyond the usual.
            again: whether it may be asked twice; None: by its method.
            short: whether it may be tried by a lane first, and asked once more if that fails; None: as `again`.

        Raises:
            GatiError: what the status means, or `Network`.
        """
        begin, tries = 1, self.patience.tries
        repeatable = method in _SAFE if again is None else again
        if (repeatable if short is None else short) and isinstance(path, str) and not callable(content):
            answer = await self._short(method, path, scopes, headers or {}, content, expected, limit, waiting)
            self._met = self._met or answer is not None
            if answer is not None and answer.status in expected:
                return answer
            if answer is not None and answer.status not in _AGAIN:
                raise refusal(self.host, action, answer.status, answer.body, logged_in=self._credential is not None)
            if answer is not None:
                begin = 2
                await self.pause(1, answer.headers.get("retry-after"))
        for turn in range(1, tries + 1):
            try:
                async with (
                    self.open(
                        method, path, action=action, scopes=scopes, headers=headers, content=content,
                        expected=expected, waiting=waiting, again=repeatable, begin=begin,
                    ) as response,
                    asyncio.timeout(self.patience.answer + limit / (1 << 20)),
                ):  # fmt: skip
                    body = b"" if method == "HEAD" else await read_all(response, limit, self.host)
                    return Answer(response.status_code, response.headers, body)
            except (httpx.TransportError, TimeoutError) as error:
                if not repeatable or turn == tries:
                    raise _network(self.host, action, error) from None
                await self.pause(turn)
        raise AssertionError  # the loop ends by return or raise

    @asynccontextmanager
    async def open(
        self,
        method: str,
        path: str | httpx.URL,
        *,
        action: str,
        scopes: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        content: Body | None = None,
        expected: Collection[int] = (200,),
        waiting: float = 0.0,
        again: bool | None = None,
        begin: int = 1,
    ) -> AsyncIterator[httpx.Response]:
        """One request whose body the caller reads by `pieces`; as `ask` else. Breaks while reading are the caller's.

        Args:
            begin: the turn to begin with, of as many as patience allows.
        """
        url = self.url.copy_with(raw_path=path.encode()) if isinstance(path, str) else path
        repeatable = method in _SAFE if again is None else again
        async with AsyncExitStack() as stack:
            for turn in range(begin, self.patience.tries + 1):
                last = turn == self.patience.tries
                try:
                    response = await self._authorized(method, url, frozenset(scopes), headers or {}, content, waiting)
                except (httpx.TransportError, TimeoutError) as error:
                    sent = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
                    stranger = not (sent or self._met or turn < _FIRST_TRIES)
                    if last or stranger or (sent and not repeatable) or "CERTIFICATE_VERIFY" in str(error):
                        raise _network(self.host, action, error) from None
                    await self.pause(turn)
                    continue
                stack.push_async_callback(response.aclose)
                self._met = True
                status = response.status_code
                if status in expected:
                    yield response
                    return
                body = await _read_some(response)
                # 429 and 503 say that nothing was done, so that even what is not repeatable may be asked again.
                if status in _AGAIN and not last and (repeatable or status in (429, 503)):
                    await response.aclose()
                    await self.pause(turn, response.headers.get("retry-after"))
                    continue
                raise refusal(self.host, action, status, body, logged_in=self._credential is not None)

    async def straight(
        self,
        method: str,
        path: str,
        *,
        scopes: Sequence[str],
        take: Take[T | None],
        headers: Mapping[str, str] | None = None,
        body: Sent = None,
        allowed: float = 0.0,
    ) -> T | None:
        """One request of many alike, with little time of the processor (see `lanes`).

        None: this way is not open, or `take`, which reads the answer in a thread, found another than it looks for;
        `open` or `ask` are to be asked then. The way opens when the registry itself answered one request well.

        Args:
            allowed: seconds that it may take beyond the usual.

        Raises:
            Network: it broke, and nobody knows how far it came.
        """
        if not self._straight or self._proxied:
            return None
        sent = await self._lane_headers(method, frozenset(scopes), headers or {})
        try:
            done = await self._open_lanes().ask(method, path, sent, body, take, self.patience.answer + allowed)
        except OSError as error:
            self._straight = False  # until the careful way got through again
            raise _network(self.host, "go on", error) from None
        if done is None:
            self._straight = False
        return done

    async def straight_each(
        self,
        items: Sequence[Item],
        ask: Callable[[Item], tuple[str, bytes | None] | None],
        take: Callable[[Item, Reply], bool],
        *,
        method: str,
        scopes: Sequence[str],
        headers: Mapping[str, str] | None = None,
        allowed: float = 0.0,
    ) -> Sequence[Item]:
        """`straight` for many small requests, which some threads share.

        Args:
            ask: the target and body of the request about an item, or None where there is nothing to ask.
            take: reads the answer; False: it is not what it looks for. Both are called in threads.
            allowed: seconds that all may take beyond the usual.

        Returns: Those that are left to the careful way: all of them where this one is not open.
        """
        if not self._straight or self._proxied or not items:
            return items
        errand = Errand(method, await self._lane_headers(method, frozenset(scopes), headers or {}), ask, take)
        try:
            left = await self._open_lanes().each(items, errand, self.patience.answer + allowed)
        except TimeoutError as error:
            raise _network(self.host, "go on", error) from None
        self._straight = not left
        return left

    async def _short(
        self,
        method: str,
        path: str,
        scopes: Sequence[str],
        headers: Mapping[str, str],
        content: bytes | None,
        expected: Collection[int],
        limit: int,
        waiting: float,
    ) -> Answer | None:
        """What a lane brings, be it a refusal; None: it is to be asked the careful way."""
        if self._proxied or self._misses > _MISSES:
            return None

        def take(reply: Reply) -> Answer | None:
            if reply.status not in (*expected, *_REFUSED, *_AGAIN) or reply.length > limit:
                return None
            return Answer(reply.status, reply.headers, reply.read())

        sent = await self._lane_headers(method, frozenset(scopes), headers)
        answer = None
        with contextlib.suppress(OSError):
            answer = await self._open_lanes().ask(method, path, sent, content, take, self.patience.answer + waiting)
        self._straight = answer is not None and answer.status in expected
        self._misses += answer is None
        if answer is not None:  # as httpx tells of its requests
            url = f"{self.origin.scheme}://{self.origin.name}{path}"
            _LOG.info('HTTP Request: %s %s "%s %d"', method, url, "HTTP/1.1", answer.status)
        return answer

    def _check_open(self) -> None:
        if self._closed:
            raise Usage(f"the client of {self.host} was closed", remedy="make another one")

    def _open_lanes(self) -> Lanes:
        self._check_open()
        if self._lanes is None:
            context = self._trusted() if self.origin.scheme == "https" else None
            host, port, patience = self.origin.host, self.origin.port, self.patience
            self._lanes = Lanes(host, port, context, patience.connect, patience.piece)
        return self._lanes

    async def _lane_headers(self, method: str, scopes: frozenset[str], headers: Mapping[str, str]) -> Mapping[str, str]:
        credential = await self._who()
        if not scopes and credential is not None and not credential.token:
            secret: str | None = basic(credential.username, credential.password)  # as in `_authorized`
        else:
            secret = await self._secret(credential, self._wider.get((method, scopes), scopes))
        return {**_HEADERS, **headers, **({} if secret is None else {"Authorization": secret})}

    # --- credentials --------------------------------------------------------------------------------------------

    async def _authorized(
        self,
        method: str,
        url: httpx.URL,
        scopes: frozenset[str],
        headers: Mapping[str, str],
        content: Body | None,
        waiting: float,
    ) -> httpx.Response:
        """With what the registry wants to see; a challenge is answered once, a wider or fresher one once more."""
        credential = await self._who()
        key = (method, scopes)
        direct = not scopes  # extensions take the credentials themselves: tokens reach repositories alone
        for turn in range(3):
            wanted = self._wider.get(key, scopes)
            kept = self._tokens.has(wanted)
            if direct and credential is not None and not credential.token:
                secret: str | None = basic(credential.username, credential.password)
            else:
                secret = await self._secret(credential, wanted)
            direct = False
            response = await self._follow(method, url, headers, content, secret, waiting)
            if response.status_code != 401 or turn == 2:
                return response
            challenge = parse_challenge(response.headers.get("www-authenticate", ""))
            if challenge is None or (secret is None and challenge.scheme == "basic" and credential is None):
                return response
            if secret is not None and not self._again(challenge, credential, wanted, secret, kept):
                return response
            await response.aclose()
            self._challenge = challenge
            if not scopes or challenge.scheme == "bearer":
                self._wider[key] = wanted | frozenset(challenge.scopes)
        raise AssertionError  # the loop ends by return

    def _again(
        self,
        challenge: Challenge,
        credential: Credential | None,
        wanted: frozenset[str],
        secret: str,
        kept: bool,
    ) -> bool:
        """Whether another secret than the refused one is to be had."""
        if challenge.scheme != "bearer":
            return False
        if credential is not None and secret == f"Bearer {credential.token}":
            self._bearer_refused = True
            return True
        if secret.startswith("Bearer "):
            self._tokens.forget(wanted, secret.removeprefix("Bearer "))
            # One that was kept may have ended; a fresh one is too narrow, or it is refused for good.
            return kept or not frozenset(challenge.scopes) <= wanted
        return True

    async def _who(self) -> Credential | None:
        if not self._known:
            async with self._asked:
                if not self._known and self._credentials is not None:
                    self._credential = await self._credentials.get(self.host)
                    self._known = True
        return self._credential

    async def _secret(self, credential: Credential | None, scopes: frozenset[str]) -> str | None:
        """The Authorization header for the registry itself."""
        if credential is not None and credential.token and not self._bearer_refused:
            return f"Bearer {credential.token}"
        challenge = self._challenge
        if challenge is None:
            return None
        if challenge.scheme == "bearer":
            return "Bearer " + await self._tokens.get(challenge, scopes, credential)
        return basic(credential.username, credential.password) if credential is not None else None

    async def _ask_token(self, method: str, url: httpx.URL, headers: Mapping[str, str], body: bytes | None) -> Answer:
        """A request to the token service; redirects are not followed, as a secret is in it."""
        for turn in range(1, self.patience.tries + 1):
            try:
                response = await self._send(method, url, headers, body, 0.0)
                try:
                    async with asyncio.timeout(self.patience.answer):
                        data = await read_all(response, _MAX_TOKEN_ANSWER, url.netloc.decode())
                finally:
                    await response.aclose()
            except (httpx.TransportError, TimeoutError) as error:
                if turn == self.patience.tries:
                    raise _network(url.netloc.decode(), "give a token", error) from None
                await self.pause(turn)
                continue
            if response.status_code in _AGAIN and turn < self.patience.tries:
                await self.pause(turn, response.headers.get("retry-after"))
                continue
            if response.status_code in _REDIRECTS:
                raise Denied(f"the token service at {url.netloc.decode()} redirects; credentials do not follow")
            return Answer(response.status_code, response.headers, data)
        raise AssertionError  # the loop ends by return or raise

    # --- the wire -----------------------------------------------------------------------------------------------

    async def _follow(
        self,
        method: str,
        url: httpx.URL,
        headers: Mapping[str, str],
        content: Body | None,
        secret: str | None,
        waiting: float,
    ) -> httpx.Response:
        for _ in range(_MAX_REDIRECTS):
            sent = dict(headers)
            if secret is not None and hosts.origin(url) == hosts.origin(self.url):
                sent["Authorization"] = secret
            response = await self._send(method, url, sent, content, waiting)
            if response.status_code not in _REDIRECTS:
                if response.is_success and hosts.origin(url) == hosts.origin(self.url):
                    self._straight = True
                return response
            await response.aclose()
            target = hosts.joined(url, response.headers.get("location", ""))
            if method not in ("GET", "HEAD"):
                raise Denied(f"{self.host} redirects a {method} to {target.netloc.decode()[:200]}; not followed")
            hosts.check_elsewhere(self.url, target)
            if url.scheme == "https" and target.scheme != "https":
                raise Denied(f"{url.netloc.decode()[:200]} redirects from https to plain http; not followed")
            url = target
        raise Integrity(f"{self.host} redirects in circles")

    async def _send(
        self, method: str, url: httpx.URL, headers: Mapping[str, str], content: Body | None, waiting: float
    ) -> httpx.Response:
        client = self._client(url.scheme)
        body = content() if callable(content) else content
        length = headers.get("Content-Length") if callable(content) else len(content or b"")
        request = client.build_request(method, url, headers=dict(headers), content=body)
        allowed = self.patience.answer + waiting + int(length or 0) / self.patience.slowest
        if waiting:
            timeouts = dict(request.extensions["timeout"])
            request.extensions = {**request.extensions, "timeout": {**timeouts, "read": timeouts["read"] + waiting}}
        async with asyncio.timeout(allowed):
            return await client.send(request, stream=True, follow_redirects=False)

    def _client(self, scheme: str) -> httpx.AsyncClient:
        self._check_open()
        client = self._clients.get(scheme)
        if client is None:
            patience = self.patience
            context = self._trusted() if scheme == "https" else None
            from http.cookiejar import CookieJar, DefaultCookiePolicy

            from gati_client.wire import Wire

            proxied = self._proxied
            try:
                client = self._clients[scheme] = httpx.AsyncClient(
                    # This machine's own servers are not behind its proxy.
                    transport=None if proxied else Wire(context, self._connections),
                    verify=context or False,
                    trust_env=proxied,
                    timeout=httpx.Timeout(patience.piece, connect=patience.connect, pool=None),
                    limits=httpx.Limits(max_connections=self._connections, max_keepalive_connections=self._connections),
                    cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
                    headers=_HEADERS,
                )
            except (ValueError, ImportError, httpx.InvalidURL):
                # Its address may hold a password, and is not repeated.
                raise Usage("a proxy in the environment is none that can be used",
                            remedy="let HTTPS_PROXY, HTTP_PROXY and ALL_PROXY name http:// or https:// ones"
                            ) from None  # fmt: skip
        return client

    def _trusted(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = authorities()
        return self._context

    async def greet(self) -> httpx.Response:
        """What the registry says to somebody without credentials who asks for its front door.

        Raises:
            Usage: the environment's proxies or authorities are none.
            httpx.HTTPError: it did not answer.
        """
        return await self._client(self.origin.scheme).get(f"{self.url}/v2/", timeout=20)

    async def pause(self, turn: int, retry_after: str | None = None) -> None:
        """Wait longer from turn to turn, or as long as the server says, within reason."""
        delay = self.patience.first_delay * 2 ** (turn - 1) * random.uniform(0.7, 1.3)  # noqa: S311 - no secret
        asked = _seconds(retry_after)
        await asyncio.sleep(min(self.patience.longest_delay, max(delay, asked)))


async def pieces(response: httpx.Response, patience: Patience) -> AsyncIterator[bytes]:
    """The body as it comes.

    Raises:
        Network: it comes so slowly that it is not meant to end.
        httpx.TransportError: the connection broke.
    """
    loop = asyncio.get_running_loop()
    begun, seen = loop.time(), 0
    async for piece in response.aiter_raw():
        yield piece
        seen += len(piece)
        passed = loop.time() - begun
        if passed > patience.piece:
            if seen < passed * patience.slowest:
                raise httpx.ReadTimeout(f"{seen} bytes in {passed:.0f} s")
            begun, seen = loop.time(), 0


async def read_all(response: httpx.Response, limit: int, host: str) -> bytes:
    """The whole body, of at most `limit` bytes.

    Raises:
        Integrity: it is longer.
    """
    data = bytearray()
    async for piece in response.aiter_raw():
        data += piece
        if len(data) > limit:
            raise Integrity(f"{host} answers with more than {limit} bytes where that much was the most")
    return bytes(data)


async def _read_some(response: httpx.Response) -> bytes:
    """The beginning of an error's body; whatever goes wrong with it, the status is what matters."""
    data = bytearray()
    try:
        async with asyncio.timeout(10):
            async for piece in response.aiter_raw():
                data += piece
                if len(data) > _MAX_ERROR:
                    break
    except (httpx.TransportError, TimeoutError):
        pass
    return bytes(data[:_MAX_ERROR])


def _network(host: str, action: str, error: Exception) -> GatiError:
    words = str(error) or type(error).__name__
    remedy = "Check the address and the connection, then try again."
    if "CERTIFICATE_VERIFY" in words:
        remedy = "If its authority is your own, name the authority's file in SSL_CERT_FILE."
    return Network(f"cannot {action} at {host}: {words}", remedy=remedy)


def _seconds(retry_after: str | None) -> float:
    """Retry-After in seconds: a number or a date (RFC 9110, 10.2.3); 0 where it is neither."""
    if not retry_after:
        return 0.0
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:9])
    import datetime
    import email.utils

    try:
        when = email.utils.parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    if when.tzinfo is None:
        when = when.replace(tzinfo=datetime.UTC)
    return max(0.0, (when - datetime.datetime.now(datetime.UTC)).total_seconds())
