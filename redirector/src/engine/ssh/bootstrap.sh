# Runs on a host, as the argument of `sh -c` in the login shell's command, whichever shell that
# is: joined to one line (csh), without single quotes, exclamation marks (csh) and two backslashes
# in a row (fish). Lines of its own on standard output begin with a word that the gateway has
# made up, because start-up files may print, too.
mark=$1; digest=$2; length=$3; wanted=$4; name=$5; grace=$6;
say() { printf "\n%s %s\n" "$mark" "$*"; };
line() { printf %s "$*" | tr "\n" " "; };
system=$(uname -s -m);
[ "$system" = "$wanted" ] || { say system "$system"; exit 1; };
umask 077;
user=$(id -u);
start() {
  exec "$1" agent --attach --name "$name" --mark "$mark" --build "$digest" --grace-ms "$grace";
};
ours() { [ -L "$1" ] && return 1; [ -d "$1" ] && [ -O "$1" ]; };
whole() { [ -x "$1" ] && [ -O "$1" ] && [ $(wc -c <"$1") -eq $length ]; };
tried="";
no() { tried="$tried$1: $(line "$2"); "; return 1; };
# A directory that programs can be put into and run from; they end up in $place.
usable() {
  top=$1/redirector-$user; place=$top/bin/$digest;
  said=$(mkdir -p "$place" 2>&1) || { no "$1" "$said"; return 1; };
  ours "$top" || { no "$1" "$top belongs to somebody else"; return 1; };
  said=$({ printf "#\041/bin/sh\nexit 0\n" | cat >"$place/$mark" && chmod 700 "$place/$mark"; } 2>&1)
    || { rm -f "$place/$mark"; no "$1" "$said"; return 1; };
  said=$("$place/$mark" </dev/null 2>&1);
  ran=$?;
  rm -f "$place/$mark";
  [ $ran -eq 0 ] || { no "$1" "programs cannot be run there (mounted noexec?) $said"; return 1; };
  set -- $(df -Pk "$place" 2>/dev/null | tail -n 1);
  [ "${4:-x}" -ge 0 ] 2>/dev/null || return 0;
  [ "$4" -gt $((length / 1024 + 1024)) ] || { no "$place" "only $4 KiB are free"; return 1; };
};
for base in "${XDG_CACHE_HOME:-}" "${HOME:+$HOME/.cache}" /var/tmp /tmp; do
  case $base in /*) ;; *) continue;; esac;
  top=$base/redirector-$user; file=$top/bin/$digest/redirector;
  if ours "$top" && whole "$file"; then start "$file"; fi;
done;
for base in "${XDG_CACHE_HOME:-}" "${HOME:+$HOME/.cache}" /var/tmp /tmp; do
  case $base in /*) ;; *) continue;; esac;
  usable "$base" || continue;
  find "$top/bin" -mindepth 1 -maxdepth 1 -mtime +30 -exec rm -rf {} + 2>/dev/null;
  say send "$place";
  new=$place/.$mark;
  said=$(head -c $length 2>&1 >"$new")
    || { rm -f "$new"; say copy "$place: $(line "$said")"; exit 1; };
  said=$(chmod 700 "$new" 2>&1 && "$new" agent --digest </dev/null 2>&1);
  [ "$said" = "$digest" ]
    || { rm -f "$new"; say copy "$place: the copy does not run: $(line "$said")"; exit 1; };
  # Another host with the same home may have put it there meanwhile, and run it already: a file
  # that is replaced cannot be started by its path any more.
  if ln "$new" "$place/redirector" 2>/dev/null || whole "$place/redirector"; then
    rm -f "$new";
  else
    said=$(mv -f "$new" "$place/redirector" 2>&1)
      || { rm -f "$new"; say copy "$place: $(line "$said")"; exit 1; };
  fi;
  start "$place/redirector";
done;
say place "$tried";
exit 1
