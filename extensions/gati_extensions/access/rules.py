"""The decision, and why: bounds → public → server's administrators → explicit denials → roles → visibility → no.

A repository that is not there is decided on as one that is private: whoever is no member learns nothing of either.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gati_extensions.namespaces.api import NEEDED, Situation, Standing
from gati_registry.domain.access import Access, Action, Decision, Identity

_OF_REGISTRY = frozenset({Action.PING, Action.CATALOG, Action.SIGN_IN, Action.OPERATE})


@dataclass(frozen=True, slots=True)
class Step:
    """One rule that was asked. `outcome` is allow, deny, or pass where it says nothing."""

    rule: str
    outcome: str
    reason: str


@dataclass(slots=True)
class Trace:
    """The steps of a decision, in their order."""

    steps: list[Step] = field(default_factory=list)

    def add(self, rule: str, outcome: str, reason: str) -> None:
        """One more."""
        self.steps.append(Step(rule, outcome, reason))


@dataclass(frozen=True, slots=True)
class Question:
    """What is decided on. Without a `standing` it is about the registry as such; `exists` is asked only of what is
    open to all."""

    identity: Identity
    access: Access
    situation: Situation
    standing: Standing | None = None
    exists: bool = True


def judge(question: Question, trace: Trace | None = None) -> Decision:
    """The decision."""
    identity, access = question.identity, question.access
    if access.action is Action.PUBLIC:
        return _tell(trace, "public", Decision.ALLOW, "everybody may")
    if not identity.bounded(access):
        return _tell(trace, "bounds", Decision.CHALLENGE, "the credential was not given for this")
    if trace is not None:
        trace.add("bounds", "pass", "the credential's own bounds leave room for it")
    if identity.admin:
        return _tell(trace, "administrator", Decision.ALLOW, "administrators of the server may do everything")
    if trace is not None:
        trace.add("administrator", "pass", "not an administrator of the server")
    if access.action in _OF_REGISTRY or question.standing is None:
        return _of_registry(question, trace)
    return _of_namespace(question, question.standing, trace)


def _of_registry(question: Question, trace: Trace | None) -> Decision:
    identity, action = question.identity, question.access.action
    if action is Action.PING and identity.name is None and identity.grants is not None:
        return _tell(trace, "token", Decision.ALLOW, "an anonymous token was got already")
    if identity.name is None:
        return _tell(trace, "anonymous", Decision.CHALLENGE, "not without an account")
    if action in (Action.PING, Action.CATALOG, Action.SIGN_IN):
        return _tell(trace, "account", Decision.ALLOW, "everybody with an account may")
    return _tell(trace, "default", Decision.DENY, "only administrators of the server may")


def _of_namespace(question: Question, standing: Standing, trace: Trace | None) -> Decision:
    identity, access, situation = question.identity, question.access, question.situation
    needed = NEEDED.get(access.action, frozenset())
    denied = standing.denied(situation)
    if needed and needed <= denied:
        for rule in standing.rules if trace is not None else ():
            if rule.effect == "deny" and rule.permissions & needed:
                assert trace is not None
                trace.add("denial", "deny", f"the role {rule.role} ({rule.via} at {rule.path}) denies it")
        return _refuse(question, standing, trace)
    if trace is not None:
        trace.add("denial", "pass", "no role denies it")
    if needed & standing.allowed(situation):
        if trace is not None:
            for rule in standing.rules:
                if rule.effect == "allow" and rule.permissions & needed:
                    trace.add("role", "allow", f"the role {rule.role} ({rule.via} at {rule.path}) allows it")
        return Decision.ALLOW
    if trace is not None:
        roles = ", ".join(f"{rule.role} ({rule.via} at {rule.path})" for rule in standing.rules) or "no role"
        trace.add("role", "pass", f"{roles}: does not allow it")
    if access.action is Action.PULL and not access.member:
        if _open(standing.visibility, identity) and question.exists:
            return _tell(
                trace, "visibility", Decision.ALLOW, f"{standing.visibility}, as set at {standing.visibility_path}"
            )
        if trace is not None:
            trace.add("visibility", "pass", "it is not there, or not visible to you")
    return _refuse(question, standing, trace)


def _refuse(question: Question, standing: Standing, trace: Trace | None) -> Decision:
    identity = question.identity
    if identity.name is None:
        return _tell(trace, "default", Decision.CHALLENGE, "nothing allows it; other credentials may")
    if sees(question, standing) and question.access.action is not Action.PULL:
        return _tell(trace, "default", Decision.DENY, "nothing allows it")
    if any(rule.effect == "allow" and "pull" in rule.permissions for rule in standing.rules):
        return _tell(trace, "default", Decision.DENY, "nothing allows it")
    return _tell(trace, "default", Decision.HIDE, "nothing allows it, nor to know of it")


def sees(question: Question, standing: Standing) -> bool:
    """Whether the identity may know of the namespace or the repository."""
    identity = question.identity
    if _open(standing.root_visibility, identity):
        return True
    return _open(standing.visibility, identity) and question.exists


def _open(visibility: str, identity: Identity) -> bool:
    return visibility == "public" or (visibility == "internal" and identity.name is not None)


def _tell(trace: Trace | None, rule: str, decision: Decision, reason: str) -> Decision:
    if trace is not None:
        trace.add(rule, "allow" if decision is Decision.ALLOW else "deny", reason)
    return decision
