# SPDX-License-Identifier: Apache-2.0
# Completion of the annals command for bash.
# shellcheck shell=bash
# shellcheck disable=SC2207  # compgen's words have no spaces here; files are completed by the shell
_annals() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]}
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W 'log tail config plugins plugin --help --version' -- "$current"))
    return
  fi
  case "$command $previous" in
    'plugin plugin') COMPREPLY=($(compgen -W 'check new --help' -- "$current")); return ;;
    'config config') COMPREPLY=($(compgen -W 'check --help' -- "$current")); return ;;
    'plugin --language') COMPREPLY=($(compgen -W 'cpp c' -- "$current")); return ;;
    'plugins --output') COMPREPLY=($(compgen -W 'text json' -- "$current")); return ;;
    'plugin --case' | 'plugin --deadline' | 'plugin --options') return ;;
    'tail --output') COMPREPLY=($(compgen -W 'pretty json' -- "$current")); return ;;
    'tail -n' | 'tail --lines' | 'log --dest' | 'log --detail' | 'log --field') return ;;
  esac
  case "$command $current" in
    'log -'*) COMPREPLY=($(compgen -W '--config --dest --detail --field --jsonl --help' -- "$current")) ;;
    'tail -'*) COMPREPLY=($(compgen -W '-n --lines -f --follow --output --help' -- "$current")) ;;
    'plugins -'*) COMPREPLY=($(compgen -W '--config --directory --output --help' -- "$current")) ;;
    'config -'*) COMPREPLY=($(compgen -W '--no-load --help' -- "$current")) ;;
    'plugin -'*)
      if [ "${COMP_WORDS[2]}" = new ]; then
        COMPREPLY=($(compgen -W '--language --directory --help' -- "$current"))
        return
      fi
      COMPREPLY=($(compgen -W '--options --destination --case --list --deadline --junit --help' -- "$current"))
      ;;
    *) compopt -o default 2>/dev/null || true ;;
  esac
}
complete -F _annals annals
