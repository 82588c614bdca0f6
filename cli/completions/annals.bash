# SPDX-License-Identifier: Apache-2.0
# Completion of the annals command for bash.
# shellcheck shell=bash
# shellcheck disable=SC2207  # compgen's words have no spaces here; files are completed by the shell
_annals() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]}
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W 'log tail cat query verify segments recover rotate prune hold adopt archive config plugins plugin --help --version' -- "$current"))
    return
  fi
  case "$command $previous" in
    'plugin plugin') COMPREPLY=($(compgen -W 'check new --help' -- "$current")); return ;;
    'hold hold') COMPREPLY=($(compgen -W 'add list remove --help' -- "$current")); return ;;
    'segments --output' | 'hold --output') COMPREPLY=($(compgen -W 'text json' -- "$current")); return ;;
    'prune --keep-for' | 'prune --keep-bytes' | 'prune --keep-segments' | 'prune --keep-free' | 'hold --from' | 'hold --to') return ;;
    'config config') COMPREPLY=($(compgen -W 'check --help' -- "$current")); return ;;
    'plugin --language') COMPREPLY=($(compgen -W 'cpp c' -- "$current")); return ;;
    'plugins --output') COMPREPLY=($(compgen -W 'text json' -- "$current")); return ;;
    'plugin --case' | 'plugin --deadline' | 'plugin --options') return ;;
    'query --output') COMPREPLY=($(compgen -W 'pretty json csv count' -- "$current")); return ;;
    'query --since' | 'query --until') COMPREPLY=($(compgen -W 'now today yesterday' -- "$current")); return ;;
    'query --container' | 'query --action' | 'query --dest' | 'query --address' | 'query --contains' | 'query --threads') return ;;
    'tail --output') COMPREPLY=($(compgen -W 'pretty json' -- "$current")); return ;;
    'tail -n' | 'tail --lines' | 'archive --level' | 'archive --plugin' | 'log --dest' | 'log --detail' | 'log --field') return ;;
  esac
  case "$command $current" in
    'log -'*) COMPREPLY=($(compgen -W '--config --dest --detail --field --jsonl --help' -- "$current")) ;;
    'tail -'*) COMPREPLY=($(compgen -W '-n --lines -f --follow --output --help' -- "$current")) ;;
    'verify -'*) COMPREPLY=($(compgen -W '--threads --help' -- "$current")) ;;
    'cat -'*) COMPREPLY=($(compgen -W '--help' -- "$current")) ;;
    'query -'*)
      COMPREPLY=($(compgen -W '--since --until --local --container --action --dest --address --contains --output --threads --help' -- "$current"))
      ;;
    'archive -'*) COMPREPLY=($(compgen -W '--level --plugin --help' -- "$current")) ;;
    'recover -'*) COMPREPLY=($(compgen -W '--help' -- "$current")) ;;
    'rotate -'*) COMPREPLY=($(compgen -W '--help' -- "$current")) ;;
    'segments -'*) COMPREPLY=($(compgen -W '--output --help' -- "$current")) ;;
    'prune -'*)
      COMPREPLY=($(compgen -W '--config --keep-for --keep-bytes --keep-segments --keep-free --dry-run --yes --allow-younger --help' -- "$current"))
      ;;
    'hold -'*)
      case "${COMP_WORDS[2]}" in
        add) COMPREPLY=($(compgen -W '--from --to --help' -- "$current")) ;;
        list) COMPREPLY=($(compgen -W '--output --help' -- "$current")) ;;
        *) COMPREPLY=($(compgen -W '--help' -- "$current")) ;;
      esac
      ;;
    'adopt -'*) COMPREPLY=($(compgen -W '--yes --help' -- "$current")) ;;
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
