"""The page on which a person logs in and confirms a device. Its script and style are constant: nothing else may run.

Source: RFC 8628 sections 3.3 and 5.4 (what the person has to see against phishing).
"""

from __future__ import annotations

import base64
import hashlib
from html import escape

from gati_extensions.identity.device.store import Waiting
from gati_extensions.identity.model import time_of
from gati_registry.extension import Answer

_STYLE = """
body{font:1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:3rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
label{display:block;margin:.75rem 0}input{font:inherit;width:100%;padding:.4rem;box-sizing:border-box}
button{font:inherit;padding:.5rem 1.5rem;margin:1rem .5rem 0 0}dt{font-weight:600}dd{margin:0 0 .5rem}
.code{font:600 1.5rem ui-monospace,monospace;letter-spacing:.1em}
"""

_SCRIPT = """
const said = document.getElementById('said');
async function send(path, body) {
  const headers = {'Content-Type': 'application/json'};
  if (document.body.dataset.csrf) headers['X-CSRF-Token'] = document.body.dataset.csrf;
  const answer = await fetch(path, {method: 'POST', credentials: 'same-origin', headers, body: JSON.stringify(body)});
  if (answer.ok) return true;
  said.textContent = (await answer.json()).errors[0].message;
  return false;
}
const login = document.getElementById('login');
if (login) login.addEventListener('submit', async (event) => {
  event.preventDefault();
  const {name, password, code} = Object.fromEntries(new FormData(login));
  if (await send('login', code ? {name, password, code} : {name, password})) location.reload();
});
for (const button of document.querySelectorAll('button[data-decision]')) {
  button.addEventListener('click', async () => {
    const decision = button.dataset.decision;
    if (await send('device/confirm', {user_code: document.body.dataset.code, decision})) {
      document.getElementById('request').remove();
      said.textContent = decision === 'approve' ? 'Approved: go back to your device.' : 'Denied.';
    }
  });
}
"""


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; script-src {_hash(_SCRIPT)}; style-src {_hash(_STYLE)};"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}


def login() -> Answer:
    """For whoever is not logged in."""
    return _page(
        """<h1>Log in to connect a device</h1>
<form id="login"><label>Name<input name="name" autocomplete="username" required></label>
<label>Password<input name="password" type="password" autocomplete="current-password" required></label>
<label>One-time code, if you have a second factor<input name="code" autocomplete="one-time-code"></label>
<button>Log in</button></form>"""
    )


def ask(account: str, wrong: str = "") -> Answer:
    """For the code."""
    said = f"<p>There is no such code, or it has expired: {escape(wrong)}</p>" if wrong else ""
    return _page(
        f"""<h1>Connect a device</h1><p>You are {escape(account)}.</p>{said}
<form method="get"><label>Code that your device shows<input name="user_code" autocomplete="off" required></label>
<button>Next</button></form>""",
        status=404 if wrong else 200,
    )


def confirm(account: str, waiting: Waiting, code: str, csrf: str) -> Answer:
    """What a device asks for."""
    where = f"at and below {waiting.path}" if waiting.path else "everywhere that you may"
    return _page(
        f"""<h1>Connect a device?</h1><div id="request"><p class="code">{escape(code)}</p>
<p>Go on only if your own device shows this code, and you started this yourself.</p><dl>
<dt>You are</dt><dd>{escape(account)}</dd>
<dt>A program that calls itself</dt><dd>{escape(waiting.client)}</dd>
<dt>asks for</dt><dd>{escape(", ".join(waiting.scopes))}, {escape(where)}</dd>
<dt>from the address</dt><dd>{escape(waiting.address)}</dd>
<dt>since</dt><dd>{time_of(waiting.created_at)}</dd></dl>
<button data-decision="approve">Approve</button><button data-decision="deny">Deny</button></div>""",
        csrf=csrf,
        code=code,
    )


def _page(content: str, *, csrf: str = "", code: str = "", status: int = 200) -> Answer:
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Connect a device</title>'
        '<meta name="viewport" content="width=device-width"><meta name="robots" content="noindex">'
        f'<style>{_STYLE}</style></head><body data-csrf="{escape(csrf)}" data-code="{escape(code)}">'
        f'{content}<p id="said" role="status"></p><script>{_SCRIPT}</script></body></html>'
    )
    return Answer(status, text.encode(), headers=HEADERS, media_type="text/html; charset=utf-8")
