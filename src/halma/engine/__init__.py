# SPDX-License-Identifier: Apache-2.0
"""The protocol roles as plain objects: events go in with a time, effects come out (`halma.engine.api`).

Always holds: nothing here knows a clock, chance or the machine; the same events at the same times give the same effects.
"""
