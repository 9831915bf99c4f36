# What bash offers behind tidegate. Made of the tables of flags by make tables.

_tidegate() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
    local commands="get watch call auth help" flags
    # The sign of --flag=value is a word of its own.
    if [[ $cur == = ]]; then
        cur=""
    elif [[ $prev == = && $COMP_CWORD -ge 2 ]]; then
        prev=${COMP_WORDS[COMP_CWORD-2]}
    fi
    COMPREPLY=()
    case ${COMP_WORDS[1]} in
    help)
        [[ $COMP_CWORD -eq 2 ]] && COMPREPLY=($(compgen -W "get watch call auth" -- "$cur"))
        return
        ;;
    get|watch)
        flags="-u --url -H --header --auth --auth-params --json --depth --timeout --cafile --insecure --apipath --wspath -h --help"
        ;;
    call|auth)
        flags="-p --params -u --url -H --header --auth --auth-params --json --depth --timeout --cafile --insecure --apipath --wspath -h --help"
        ;;
    *)
        flags="-n --nats -i --addr -p --port -w --wspath -a --apipath --homepage -r --reqtimeout --buffersize --alloworigin -u --headauth -t --wsheadauth --apiencoding --putmethod --deletemethod --patchmethod --resetthrottle --referencethrottle --maxbuffers --maxentries --maxresourcesize --tls --tlscert --tlskey --creds --natsrootca --natscert --natskey --natstlsfirst --wscompression -m --metricsport --reuseport --cpu --workers --apimaxresources --apimaxbytes --natsreconnect --natsreconnecttokens --natspinginterval --driftaudit --connectionevents --traceparent --latencypatterns --draintime --flushdelay --pinginterval --maxconnections --maxconnectionsperaddress --maxrequestspersecond --maxage --maxsubscriptions --trustedproxies --proxyprotocol --maxcachedresources --maxcachedbytes --httpkeepalive --headtimeout --wsidletimeout --broker --brokerusers --brokeropen --brokermaxpayload --brokermaxconnections --brokertlscert --brokertlskey --demo --console --consoletoken --logformat -D --debug -V --trace -c --config --check --probe -h --help -v --version"
        [[ $COMP_CWORD -eq 1 ]] && flags="$commands $flags"
        ;;
    esac
    case $prev in
    --apiencoding)
        if [[ $cur != -* ]]; then
            COMPREPLY=($(compgen -W "json jsonflat" -- "$cur"))
            return
        fi
        ;;
    --workers)
        if [[ $cur != -* ]]; then
            COMPREPLY=($(compgen -W "auto" -- "$cur"))
            return
        fi
        ;;
    --natsreconnecttokens)
        if [[ $cur != -* ]]; then
            COMPREPLY=($(compgen -W "close keep" -- "$cur"))
            return
        fi
        ;;
    --logformat)
        if [[ $cur != -* ]]; then
            COMPREPLY=($(compgen -W "text json" -- "$cur"))
            return
        fi
        ;;
    --probe)
        if [[ $cur != -* ]]; then
            COMPREPLY=($(compgen -W "live ready" -- "$cur"))
            return
        fi
        ;;
    --tlscert|--tlskey|--creds|--natsrootca|--natscert|--natskey|--brokertlscert|--brokertlskey|-c|--config|--cafile)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
        ;;
    -p|--params|-u|--url|-H|--header|--auth|--auth-params|--depth|--timeout|--apipath|--wspath)
        [[ $flags == *--cafile* ]] && return
        ;;
    esac
    case $prev in
    -n|--nats|-i|--addr|-p|--port|-w|--wspath|-a|--apipath|-r|--reqtimeout|--buffersize|--alloworigin|-u|--headauth|-t|--wsheadauth|--putmethod|--deletemethod|--patchmethod|--resetthrottle|--referencethrottle|--maxbuffers|--maxentries|--maxresourcesize|-m|--metricsport|--cpu|--apimaxresources|--apimaxbytes|--natsreconnect|--natspinginterval|--driftaudit|--connectionevents|--latencypatterns|--draintime|--flushdelay|--pinginterval|--maxconnections|--maxconnectionsperaddress|--maxrequestspersecond|--maxage|--maxsubscriptions|--trustedproxies|--maxcachedresources|--maxcachedbytes|--httpkeepalive|--headtimeout|--wsidletimeout|--brokerusers|--brokermaxpayload|--brokermaxconnections|--consoletoken)
        [[ $flags != *--cafile* ]] && return
        ;;
    esac
    COMPREPLY=($(compgen -W "$flags" -- "$cur"))
}

complete -F _tidegate tidegate
