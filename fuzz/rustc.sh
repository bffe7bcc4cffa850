#!/bin/sh
# Compiles as rustc does. In the crates that the targets are about, it counts what is executed, for libFuzzer.
rustc=$1
shift
crate= before=
for word; do
    [ "$before" = --crate-name ] && crate=$word
    before=$word
done
# The profile in Cargo.toml names the same crates, so that their files are never taken for those of the programs.
case $crate in
hetmm | hetmm_fuzz | fax | fdeflate | image | image_webp | png | postcard | tiff | toml | toml_parser | weezl | winnow | zune_core | zune_jpeg)
    [ "$crate" = hetmm ] && set -- "$@" --cfg fuzzing
    set -- "$@" -Cpasses=sancov-module \
        -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
        -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares
    ;;
esac
exec "$rustc" "$@"
