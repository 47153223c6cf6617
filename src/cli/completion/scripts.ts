export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/** The hidden command that the scripts call. */
export const ASK = '__complete';
/** Its answer if the shell should complete file names. */
export const FILES = ':files';

/** Completion scripts. They call `ksi` itself, so they never get out of date. */
export const SCRIPTS: Readonly<Record<Shell, string>> = {
  bash: `# bash completion for ksi. Load it: source <(ksi completion bash)
_ksi() {
  local cur=\${COMP_WORDS[COMP_CWORD]} value rest
  [ "$cur" = = ] && cur=
  COMPREPLY=()
  while IFS=$'\\t' read -r value rest; do
    case $value in
    ${FILES}) while IFS= read -r value; do COMPREPLY+=("$value"); done < <(compgen -f -- "$cur"); compopt -o filenames 2>/dev/null ;;
    "$cur"*) COMPREPLY+=("$value") ;;
    esac
  done < <(ksi ${ASK} -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _ksi ksi
`,
  zsh: `#compdef ksi
# zsh completion for ksi. Load it: source <(ksi completion zsh), or write it to a file _ksi in your $fpath
_ksi() {
  local -a described
  local line
  for line in "\${(@f)$(ksi ${ASK} -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    if [[ $line == ${FILES} ]]; then
      _files
    elif [[ -n $line ]]; then
      described+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
    fi
  done
  (( $#described )) && _describe -V -t values ksi described
}
if [[ $funcstack[1] == _ksi ]]; then _ksi "$@"; else compdef _ksi ksi; fi
`,
  fish: `# fish completion for ksi. Load it: ksi completion fish | source
function __ksi_complete
    set -l words (commandline -opc)
    set -l token (commandline -ct)
    for line in (ksi ${ASK} -- $words[2..-1] "$token" 2>/dev/null)
        if test "$line" = ${FILES}
            __fish_complete_path "$token"
        else
            echo $line
        end
    end
end
complete -c ksi -f -a '(__ksi_complete)'
`,
};
