#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Tells the gateway who comes to an access point and who leaves. Run beside hostapd:
#
#     hostapd_cli -i wlan0 -a /usr/share/doc/halma/examples/hostapd-action.sh
#
# hostapd_cli calls it with the interface, the event and the station's address. Where each station has an interface of its own
# (hostapd's `per_sta_vif=1`), pass that one: then each node has the point-to-point link that RFC 5213 asks for.
set -eu

interface=$1
event=$2
station=${3:-}

case $event in
AP-STA-CONNECTED)
    # With 802.1X the station's identity is the node's identifier; without it the profile is found by the station's address.
    identity=$(hostapd_cli -i "$interface" sta "$station" 2>/dev/null | sed -n 's/^dot1xAuthSessionUserName=//p') || identity=
    exec halma attach "$interface" "$station" --access-technology "IEEE 802.11a/b/g" ${identity:+--node "$identity"}
    ;;
AP-STA-DISCONNECTED)
    exec halma detach "$station"
    ;;
esac
