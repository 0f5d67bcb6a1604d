"""What can go wrong between here and a server, and who can mend it: nobody needs to, nobody can, or the operator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pipeline.core.pace import retry_after_s
from pipeline.core.server_faults import (
    GATEWAY_GAVE_UP,
    NO_MONEY,
    RETRIED,
    UNKNOWN_PARAMETER,
    UNKNOWN_WORDS,
    ServerFault,
    message_of,
    never_sent,
)

if TYPE_CHECKING:
    import openai

Verdict = Literal["again", "input", "refused", "quota"]
"""Try again · this input is not taken, others may be · nothing is until the operator mends something · no money."""

Fault = ServerFault[Verdict]


def fault_of(error: Exception, where: str, section: str, key_env: str, timeout_s: float) -> Fault:
    """What an error of the client library means.

    Args:
        error: what the library raised.
        where: the server's address.
        section: its section of spotter.toml, such as `providers.openai`.
        key_env: the variable that holds its key; empty for none.
        timeout_s: how long an answer was waited for.
    """
    import openai

    if isinstance(error, openai.APITimeoutError):
        return Fault("again", f"no answer from {where} within {timeout_s:g} s", billed=not never_sent(error))
    if isinstance(error, openai.APIConnectionError):
        cause = error.__cause__ or error
        if never_sent(error):
            said = f"no connection to {where} ({cause}): see that it runs, and base_url of [{section}]"
            return Fault("again", said, billed=False, unreached=True)
        return Fault("again", f"the connection to {where} broke ({type(cause).__name__})", billed=True)
    if isinstance(error, openai.APIStatusError):
        return _of_status(error, where, section, key_env)
    return Fault("again", f"{type(error).__name__} from {where}", billed=True)


def _of_status(error: openai.APIStatusError, where: str, section: str, key_env: str) -> Fault:
    status, code, kind = error.status_code, error.code or "", error.type or ""
    said = f"{where} answers {status}: {message_of(error)}"
    if {str(code), str(kind)} & NO_MONEY or status == 402:
        return Fault("quota", f"{said}. Add credit to the account, then say the same command again", False)
    if status in (401, 403):
        named = f"the key in {key_env}" if key_env else f"key_env of [{section}], which is empty"
        return Fault("refused", f"{said}. Check {named} and what it may do", False)
    if status == 404 or status < 400:  # a redirect is not followed: the key would go with it
        return Fault("refused", f"{said}. Check the model's name and base_url of [{section}]", False)
    if status in RETRIED or status >= 500:
        return Fault("again", said, status in GATEWAY_GAVE_UP, retry_after_s(error.response.headers))
    whole = error.message.lower()
    if str(code) in UNKNOWN_PARAMETER or any(words in whole for words in UNKNOWN_WORDS):
        return Fault("refused", f"{said}. The server does not take this: see the model's keys in [{section}]", False)
    return Fault("input", said, False)
