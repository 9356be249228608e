#!/usr/bin/env bash
# packaging/wheel/ffmpeg.sh PREFIX: the FFmpeg that the wheel carries, static and under the LGPL, with dav1d (AV1) and
# LAME (mp3), into PREFIX. A finished PREFIX of the same recipe and sources is kept.
#
# The sources are Debian 12's source packages with their patches, so that the frames are those of a Debian build, bit for
# bit. apt brings them through a list of its own, or SOURCES=folder holds the files that sources.sha256 names.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
prefix=$(realpath -m "${1:?usage: ffmpeg.sh PREFIX}")
jobs=${JOBS:-$(nproc)}

say() { echo "ffmpeg.sh: $*" >&2; }
die() { say "$*"; exit 1; }

recipe=$(cat "$here/ffmpeg.sh" "$here/sources.sha256" | sha256sum | cut -d' ' -f1)
[ "$(cat "$prefix/recipe" 2>/dev/null)" != "$recipe" ] || exit 0
[ ! -e "$prefix" ] || [ -e "$prefix/recipe" ] || die "$prefix is not a folder of this script; name another"
for tool in make nasm meson ninja gcc patch tar; do
  command -v $tool >/dev/null || die "needs $tool"
done

mkdir -p "$(dirname "$prefix")"
work=$(mktemp -d "$prefix.XXXXXX")
trap 'rm -rf "$work"' EXIT

# Source packages through apt, with lists that leave those of the machine alone.
fetch() {
  local keyring=/usr/share/keyrings/debian-archive-keyring.gpg apt=()
  [ -e $keyring ] || die "no $keyring; name a folder with the files of sources.sha256: SOURCES=folder"
  mkdir -p "$work/apt/parts" "$work/apt/lists"
  cat >"$work/apt/parts/sources.list" <<LIST
deb-src [signed-by=$keyring] http://deb.debian.org/debian bookworm main
deb-src [signed-by=$keyring] http://deb.debian.org/debian-security bookworm-security main
LIST
  apt=(-qq -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$work/apt/parts" -o Dir::State::Lists="$work/apt/lists"
    -o APT::Sandbox::User=root)
  apt-get "${apt[@]}" update
  (cd "$SOURCES" && apt-get "${apt[@]}" source --download-only ffmpeg=7:5.1.9-0+deb12u1 dav1d=1.0.0-2+deb12u1 lame=3.100-6 >/dev/null)
}

if [ -z "${SOURCES:-}" ]; then
  SOURCES=$work/sources
  mkdir -p "$SOURCES"
  say "fetching the sources"
  fetch
fi
(cd "$SOURCES" && sha256sum --quiet -c "$here/sources.sha256") || die "$SOURCES does not hold the sources that sources.sha256 names"

# unpack NAME ORIG DEBIAN: the source with Debian's patches in $work/NAME.
unpack() {
  mkdir "$work/$1"
  tar -xf "$SOURCES/$2" -C "$work/$1" --strip-components=1 --no-same-owner
  tar -xf "$SOURCES/$3" -C "$work/$1" --no-same-owner
  local name
  while read -r name _; do
    case $name in '' | '#'*) continue ;; esac
    patch -s -p1 -d "$work/$1" <"$work/$1/debian/patches/$name"
  done <"$work/$1/debian/patches/series"
}
unpack ffmpeg ffmpeg_5.1.9.orig.tar.xz ffmpeg_5.1.9-0+deb12u1.debian.tar.xz
unpack dav1d dav1d_1.0.0.orig.tar.xz dav1d_1.0.0-2+deb12u1.debian.tar.xz
unpack lame lame_3.100.orig.tar.gz lame_3.100-6.debian.tar.xz

to=$work/prefix
log=$work/log
quietly() { "$@" >>"$log" 2>&1 || { tail -n 30 "$log" >&2; die "failed: $*"; }; }

say "compiling LAME"
cd "$work/lame"
CFLAGS='-O2 -fPIC' quietly ./configure --prefix="$to" --disable-shared --enable-static --disable-frontend --disable-decoder
quietly make -j"$jobs" install

say "compiling dav1d"
cd "$work/dav1d"
quietly meson setup build --default-library=static --buildtype=release -Denable_tools=false -Denable_tests=false \
  --prefix="$to" --libdir=lib
quietly ninja -j"$jobs" -C build install

say "compiling FFmpeg"
video=mpeg4,msmpeg4v1,msmpeg4v2,msmpeg4v3,h261,h263,h263i,h263p,flv,h264,hevc,vp3,vp4,theora,vp5,vp6,vp6a,vp6f,vp7,vp8,vp9
video+=,mpeg1video,mpeg2video,mpegvideo,mjpeg,mjpegb,amv,png,apng,bmp,gif,webp,rawvideo,ffv1,ffvhuff,huffyuv,hymt,utvideo
video+=,magicyuv,lagarith,snow,dirac,dvvideo,wmv1,wmv2,wmv3,wmv3image,vc1,vc1image,mss1,mss2,prores,dnxhd,cfhd,aic,qtrle
video+=,rpza,smc,eightbps,cinepak,svq1,svq3,msvideo1,msrle,indeo2,indeo3,indeo4,indeo5,rv10,rv20,rv30,rv40,flashsv,flashsv2
video+=,tscc,tscc2,zmbv,cscd,fraps,asv1,asv2,cljr,cllc,loco,mszh,zlib,vcr1,ulti,truemotion1,truemotion2,cavs,v210,v308,v408
video+=,v410,r210,r10k,ayuv,y41p,yuv4,jpeg2000,jpegls,sp5x,vmnc,g2m,libdav1d
# Sound is copied by `annotate`, whose muxers ask a decoder for what the header leaves out.
sound=aac,aac_latm,mp1,mp1float,mp2,mp2float,mp3,mp3float,ac3,eac3,dca,opus,vorbis,flac,alac,wmav1,wmav2,wmapro,amrnb,amrwb
sound+=,pcm_alaw,pcm_mulaw,pcm_u8,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,pcm_f32le,pcm_f32be,adpcm_ms
sound+=,adpcm_ima_wav,adpcm_ima_qt,adpcm_swf,nellymoser
cd "$work/ffmpeg"
# The configure line is in the program's `build.json`: relative paths, so that it is the same everywhere.
export PKG_CONFIG_PATH=../prefix/lib/pkgconfig
quietly ./configure --prefix=/ncaers --disable-everything --disable-autodetect --disable-programs --disable-doc --disable-network \
  --disable-avdevice --disable-avfilter --disable-postproc --enable-static --disable-shared --enable-pic --disable-debug \
  --enable-zlib --enable-libdav1d --enable-libmp3lame --pkg-config-flags=--static \
  --extra-cflags=-I../prefix/include --extra-ldflags=-L../prefix/lib \
  --enable-protocol=file --enable-parsers --enable-bsfs \
  --enable-demuxer=avi,matroska,mov,mpegts,mpegps,mpegvideo,asf,flv,live_flv,ogg,mp3,wav,aac,flac \
  --enable-muxer=avi,matroska,mov,mp4,mpegts --enable-encoder=mpeg4,mpeg2video,ffv1,libmp3lame \
  --enable-decoder="$video,$sound"
grep -q '^#define FFMPEG_LICENSE "LGPL version 2.1 or later"$' config.h || die "FFmpeg is not under the LGPL"
quietly make -j"$jobs"
quietly make install DESTDIR="$work/installed"
cp -r "$work/installed/ncaers/." "$to/"

mkdir "$to/licences"
cp COPYING.LGPLv2.1 "$to/licences/FFmpeg-LGPL-2.1.txt"
cp "$work/dav1d/COPYING" "$to/licences/dav1d-BSD-2-Clause.txt"
cp "$work/lame/COPYING" "$to/licences/LAME-LGPL-2.txt"
cp "$here/sources.sha256" "$to/licences/sources.sha256"
cp "$here/ffmpeg.sh" "$to/licences/ffmpeg.sh"
echo "$recipe" >"$to/recipe"
rm -rf "$prefix"
mv "$to" "$prefix"
