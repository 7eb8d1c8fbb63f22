# SPDX-License-Identifier: Apache-2.0
"""The protocol roles as plain objects: events go in with a time, effects come out. No clock, no chance, no machine."""
