# The words behind a recipe's name, for all scripts: `NAME=value` sets a variable, all else is a flag.
# (just's own parameters would have to be in order, and `just --set` stands before the recipe.)
# shellcheck shell=bash

# read_words RECIPE "NAME NAME ..." WORD...: sets the variables that are named and the array `flags`.
read_words() {
  local recipe=$1 known=$2 word
  shift 2
  flags=()
  for word in "$@"; do
    if [[ $word =~ ^([A-Z]+)=(.*)$ ]]; then
      [[ " $known " == *" ${BASH_REMATCH[1]} "* ]] ||
        { echo "$recipe: unknown variable ${BASH_REMATCH[1]}; known: ${known// /, }" >&2; exit 2; }
      printf -v "${BASH_REMATCH[1]}" %s "${BASH_REMATCH[2]}"
    else
      flags+=("$word")
    fi
  done
}

# The same for a recipe without flags.
read_variables() {
  read_words "$@"
  [ ${#flags[@]} -eq 0 ] || { echo "$1: unknown word '${flags[0]}'; known: ${2// /=, }=" >&2; exit 2; }
}
