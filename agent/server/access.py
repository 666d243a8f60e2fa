"""Who asks, and whose memory they may reach. The one place where a request becomes a person's handle.

Without tokens (loopback) whoever reaches the server may name anybody, as whoever may read the file could.
With them, a token opens the memory that it is bound to and no other; an admin's opens the one that is named.
"""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query, Request
from fastapi.security import HTTPBearer

from mnemon.agent.server.refusals import Refusal
from mnemon.agent.server.tokens import PREFIX, TokenFile
from mnemon.memory import Memory, Person


@dataclass(frozen=True, kw_only=True)
class Access:
    """What a request may do. `bound` is the only person it may name, if there is only one."""

    admin: bool
    bound: str | None
    default: str | None

    def whom(self, named: str | None) -> str:
        if self.bound is not None:
            if named is not None and named != self.bound:
                raise Refusal(
                    403,
                    f"This token opens the memory of {self.bound!r} and no other.",
                    hint=f"Leave the user out, or say {self.bound!r}.",
                    param="user",
                )
            return self.bound
        user = self.default if named is None else named
        if user is None:
            raise Refusal(
                400,
                "It is not said whose memory is meant.",
                hint='An admin\'s token names somebody: user="ana"',
                code="user_required",
                param="user",
            )
        return user


class Gatekeeper:
    """Reads tokens. `required` False is loopback: a token is optional there, and is heeded if it is ours."""

    def __init__(self, tokens: TokenFile, *, required: bool, default_user: str) -> None:
        self._tokens = tokens
        self.required = required
        self._default = default_user

    def admit(self, authorization: str | None) -> Access:
        scheme, _, secret = (authorization or "").partition(" ")
        secret = secret.strip()
        # OpenAI's clients always send some key; on loopback one that was never ours means nothing.
        ours = scheme.lower() == "bearer" and secret.startswith(PREFIX)
        if not ours and not self.required:
            return Access(admin=True, bound=None, default=self._default)
        token = self._tokens.find(secret) if ours else None
        if token is None:
            raise Refusal(
                401,
                "This server wants a token." if not ours else "This token is not known here, or was revoked.",
                hint="Send `Authorization: Bearer mn_...`; one is made by: mnemon token new --user NAME",
                code="wrong_token" if ours else "token_required",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return Access(admin=token.is_admin, bound=token.user, default=None)


# Says in the OpenAPI document how a token is sent. What it finds is not used: `admit` reads the header.
_bearer = HTTPBearer(auto_error=False, description="A token of `mnemon token new`; optional on loopback.")


async def access(request: Request, _: Annotated[object, Depends(_bearer)]) -> Access:
    gatekeeper: Gatekeeper = request.app.state.gatekeeper
    return gatekeeper.admit(request.headers.get("authorization"))


async def admin(may: Annotated[Access, Depends(access)]) -> Access:
    if not may.admin:
        raise Refusal(403, "This needs an admin's token.", hint="One is made by: mnemon token new --admin")
    return may


async def person(
    request: Request,
    may: Annotated[Access, Depends(access)],
    user: Annotated[
        str | None, Query(description="Whose memory; not needed with a person's token.", max_length=500)
    ] = None,
) -> Person:
    memory: Memory = request.app.state.memory
    return memory.for_user(may.whom(user))


Asker = Annotated[Access, Depends(access)]
Admin = Annotated[Access, Depends(admin)]
ThePerson = Annotated[Person, Depends(person)]
