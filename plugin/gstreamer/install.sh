#!/usr/bin/env bash
# Builds the GStreamer element and installs it where GStreamer looks for plugins.
#
# usage: plugin/gstreamer/install.sh [--prefix P] [--destdir D] [--target T]
#
#   --prefix P    install into P/lib/gstreamer-1.0 [default: GStreamer's own plugin folder]
#   --destdir D   a folder to put in front, for packages
#   --target T    build for another machine, as in aarch64-unknown-linux-gnu (cross/README.md)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder= destdir= target=
while [ $# -gt 0 ]; do
    case $1 in
        --prefix) folder=${2:?--prefix needs a folder}/lib/gstreamer-1.0 && shift ;;
        --destdir) destdir=${2:?--destdir needs a folder} && shift ;;
        --target) target=${2:?--target needs a name} && shift ;;
        *) sed -n '2,9s/^# \{0,1\}//p' "$0" && exit 2 ;;
    esac
    shift
done
if [ -z "$folder" ]; then
    folder=$(pkg-config --variable=pluginsdir gstreamer-1.0) || {
        echo "ERROR: pkg-config does not know gstreamer-1.0" >&2
        echo "  -> apt-get install libgstreamer1.0-dev, or name a folder: $0 --prefix P" >&2
        exit 2
    }
fi
cd "$here/../.."
cargo build --release -p gst-plugin-hetmm ${target:+--target "$target"}
built=${CARGO_TARGET_DIR:-target}/${target:+$target/}release
to=$destdir$folder
install -d "$to"
install -m 755 "$built/libgsthetmm.so" "$to/libgsthetmm.so"
# Another machine's library may be one that this strip does not know.
strip --strip-unneeded "$to/libgsthetmm.so" 2>/dev/null || true
echo "installed: $to/libgsthetmm.so"
case $folder in
    */lib/gstreamer-1.0) [ -n "$destdir" ] || echo "look at it: GST_PLUGIN_PATH=$to gst-inspect-1.0 hetmm" ;;
    *) [ -n "$destdir" ] || echo "look at it: gst-inspect-1.0 hetmm" ;;
esac
