package main

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"sync"
)

const (
	headerLength = 16
	maxMessage   = 64 << 20
	opMsg        = 2013
	// Bit of an OP_MSG's flags: no reply follows.
	moreToCome = 1 << 1
)

// serialise hands the commands of all connections to the server one at a time.
//
// MongoDB changes a single document atomically. FerretDB 1.24 reads it, changes the copy and writes it back without a
// transaction: of 50 concurrent {$inc: {n: 1}}, 42 were lost. One command at a time, it behaves as MongoDB documents.
// Only the commands that ask whether the server is there pass beside the others.
func serialise(front net.Listener, server string) {
	var turn sync.Mutex
	for {
		client, err := front.Accept()
		if err != nil {
			return
		}
		go func() {
			defer client.Close()
			upstream, err := net.Dial("tcp", server)
			if err != nil {
				return
			}
			defer upstream.Close()
			for forward(client, upstream, &turn) == nil {
			}
		}()
	}
}

func forward(client, upstream net.Conn, turn *sync.Mutex) error {
	request, err := readMessage(client)
	if err != nil {
		return err
	}
	reply, err := ask(upstream, request, turn)
	if err != nil || reply == nil {
		return err
	}
	_, err = client.Write(reply)
	return err
}

func ask(upstream net.Conn, request []byte, turn *sync.Mutex) ([]byte, error) {
	if !isGreeting(request) {
		turn.Lock()
		defer turn.Unlock()
	}
	if _, err := upstream.Write(request); err != nil {
		return nil, err
	}
	isMsg := binary.LittleEndian.Uint32(request[12:]) == opMsg
	if isMsg && len(request) >= 20 && binary.LittleEndian.Uint32(request[16:])&moreToCome != 0 {
		return nil, nil
	}
	return readMessage(upstream)
}

// isGreeting reports hello and its older name, also in the first message of a connection (OP_QUERY).
func isGreeting(request []byte) bool {
	start := request[headerLength:min(len(request), headerLength+80)]
	for _, name := range []string{"\x10hello\x00", "\x10ismaster\x00", "\x10isMaster\x00", "\x01hello\x00", "\x01ismaster\x00"} {
		if bytes.Contains(start, []byte(name)) {
			return true
		}
	}
	return false
}

func readMessage(from io.Reader) ([]byte, error) {
	header := make([]byte, headerLength)
	if _, err := io.ReadFull(from, header); err != nil {
		return nil, err
	}
	length := binary.LittleEndian.Uint32(header)
	if length < headerLength || length > maxMessage {
		return nil, io.ErrUnexpectedEOF
	}
	message := make([]byte, length)
	copy(message, header)
	_, err := io.ReadFull(from, message[headerLength:])
	return message, err
}
