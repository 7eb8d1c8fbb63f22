# SPDX-License-Identifier: Apache-2.0
"""What is said about a message that does not decode: an ICMPv6 Parameter Problem, or nothing.

RFC 6275 section 9.2 (Payload Proto and Header Len), RFC 8200 section 4.2 (options that must not be skipped), RFC 4443 section
3.4. How often that may be said, and to whom, is the business of each role.

Always holds: a wrong checksum is never answered.
"""

from __future__ import annotations

from halma.engine.api import MalformedReceived, SendParameterProblem
from halma.wire.errors import DecodeReason

ERRONEOUS_FIELD, UNRECOGNIZED_OPTION = 0, 2
CODES = {
    DecodeReason.PAYLOAD_PROTO: ERRONEOUS_FIELD,
    DecodeReason.HEADER_LENGTH: ERRONEOUS_FIELD,
    DecodeReason.OPTION_REFUSED: UNRECOGNIZED_OPTION,
}
"""The code of the Parameter Problem, for all that is answered with one."""


def parameter_problem(event: MalformedReceived) -> SendParameterProblem | None:
    """The answer to a message, where there is one."""
    code = CODES.get(event.error.reason)
    if code is None:
        return None
    return SendParameterProblem(event.destination, event.source, event.error.offset, event.data, event.packet, code)
