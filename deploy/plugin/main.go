// The CNI plugin for hosts without Python: it passes a call to the node agent and back.
//
// weft/cni/shim.py is the same program for hosts that have Python; tests/cni holds both to the same
// bytes, exit statuses and errors. A runtime starts this file for every call of every pod: it uses
// system calls directly, and encoding/json alone where there is no agent to ask.
package main

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"syscall"
	"unicode/utf8"
)

const (
	defaultSocket  = "/run/weft/cni.sock"
	socketVariable = "WEFT_CNI_SOCKET"
	maxRequest     = 4 << 20
	chunk          = 65536
	tryLater       = 11
	unavailable    = 50
	// The room for a path in struct sockaddr_un, with its NUL byte.
	maxPath = 108
)

var versions = []string{"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"}

// An agent that accepts no bytes for this long hangs.
var sendTimeout = syscall.Timeval{Sec: 10}

var errIncomplete = errors.New("it closed the connection before it had answered in full")
var errLongPath = errors.New("AF_UNIX path too long")

// versionAnswer is the output of VERSION.
type versionAnswer struct {
	CNIVersion        string   `json:"cniVersion"`
	SupportedVersions []string `json:"supportedVersions"`
}

// failure is the error that the specification asks for.
type failure struct {
	CNIVersion string `json:"cniVersion"`
	Code       int    `json:"code"`
	Msg        string `json:"msg"`
	Details    string `json:"details"`
}

func main() {
	syscall.Exit(run())
}

func run() int {
	command, _ := syscall.Getenv("CNI_COMMAND")
	config := readAll(0)
	if command == "VERSION" {
		writeJSON(versionAnswer{configVersion(config), versions})
		return 0
	}
	path, _ := syscall.Getenv(socketVariable)
	if path == "" {
		path = defaultSocket
	}
	status, body, err := exchange(path, frameRequest(syscall.Environ(), config))
	if err != nil {
		code := tryLater
		if command == "STATUS" {
			code = unavailable
		}
		writeJSON(answerFailure(config, code, path, err))
		return 1
	}
	writeAll(1, body)
	return status
}

// readAll returns standard input to its end, or as many bytes as the agent accepts.
func readAll(fd int) []byte {
	var data []byte
	buffer := make([]byte, chunk)
	for len(data) <= maxRequest {
		n, err := syscall.Read(fd, buffer)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || n == 0 {
			break
		}
		data = append(data, buffer[:n]...)
	}
	return data
}

func writeAll(fd int, data []byte) error {
	for len(data) > 0 {
		n, err := syscall.Write(fd, data)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// frameRequest is one line with both lengths, the CNI variables as NUL-terminated pairs, and the
// configuration.
func frameRequest(environ []string, config []byte) []byte {
	var pairs []byte
	for _, pair := range environ {
		if strings.HasPrefix(pair, "CNI_") && strings.Contains(pair, "=") {
			pairs = append(append(pairs, pair...), 0)
		}
	}
	head := "weft-cni 1 " + strconv.Itoa(len(pairs)) + " " + strconv.Itoa(len(config)) + "\n"
	return append(append([]byte(head), pairs...), config...)
}

// exchange returns the agent's exit status and output, or an error without a complete answer.
func exchange(path string, request []byte) (int, []byte, error) {
	if len(path) >= maxPath {
		return 0, nil, errLongPath
	}
	if path[0] == '@' { // a file, not an abstract name
		path = "./" + path
	}
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, nil, err
	}
	err = syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_SNDTIMEO, &sendTimeout)
	if err != nil {
		return 0, nil, err
	}
	for {
		if err = syscall.Connect(fd, &syscall.SockaddrUnix{Name: path}); err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		return 0, nil, err
	}
	// The agent can refuse a request before it has read all of it: its answer has the reason.
	if err = writeAll(fd, request); err != nil && err != syscall.EPIPE {
		return 0, nil, err
	}
	return receive(fd)
}

func receive(fd int) (int, []byte, error) {
	var data []byte
	buffer := make([]byte, chunk)
	for {
		n, err := syscall.Read(fd, buffer)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return 0, nil, err
		}
		if n == 0 {
			return parseReply(string(data))
		}
		data = append(data, buffer[:n]...)
	}
}

// parseReply splits "<exit status> <bytes of output>\n" and the output.
func parseReply(data string) (int, []byte, error) {
	head, body, found := strings.Cut(data, "\n")
	status, size, _ := strings.Cut(head, " ")
	if !found || (status != "0" && status != "1") || size != strconv.Itoa(len(body)) {
		return 0, nil, errIncomplete
	}
	return int(status[0] - '0'), []byte(body), nil
}

// configVersion is the configuration's version of the specification, or the newest known.
func configVersion(config []byte) string {
	newest := versions[len(versions)-1]
	var fields map[string]json.RawMessage
	if !utf8.Valid(config) || json.Unmarshal(config, &fields) != nil {
		return newest
	}
	var asked string
	if json.Unmarshal(fields["cniVersion"], &asked) != nil {
		return newest
	}
	for _, known := range versions {
		if asked == known {
			return asked
		}
	}
	return newest
}

func answerFailure(config []byte, code int, path string, why error) failure {
	shown := strings.ToValidUTF8(path, "\uFFFD")
	return failure{
		CNIVersion: configVersion(config),
		Code:       code,
		Msg:        "weft's node agent does not answer at " + shown + ": " + reason(why),
		Details: "Start `weft node` on this node, or see its log for why it ended; " +
			"the runtime tries again by itself.",
	}
}

// reason is the error in the words of strerror(3), which begin with a capital letter.
func reason(err error) string {
	text := err.Error()
	if _, ok := err.(syscall.Errno); ok && text != "" {
		return strings.ToUpper(text[:1]) + text[1:]
	}
	return text
}

func writeJSON(answer any) {
	data, err := json.Marshal(answer)
	if err == nil {
		writeAll(1, data)
	}
}
