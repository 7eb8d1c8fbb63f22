# SPDX-License-Identifier: Apache-2.0
"""The data plane: prefixes bound to tunnels, in BPF or by a fallback, behind one interface."""
