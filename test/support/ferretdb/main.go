// Command ferretdb is the MongoDB-compatible server of the tests: FerretDB 1.24 on SQLite files, embedded.
//
// It prints its URI on the first line of standard output, and ends when standard input does, so that it never outlives the
// tests that started it.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address and port")
	directory := flag.String("directory", "", "folder for the SQLite files")
	flag.Parse()
	if *directory == "" {
		fail("-directory is missing")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()

	// What was written outlives the death of this process all the same, only not the machine's; a new collection takes a tenth of the time.
	server, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{TCP: "127.0.0.1:0"},
		Handler:   "sqlite",
		SQLiteURL: "file:" + *directory + "/?_pragma=synchronous(off)",
		Logger:    slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError + 4})),
	})
	if err != nil {
		fail(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	inner, err := url.Parse(server.MongoDBURI())
	if err != nil {
		fail(err)
	}
	front, err := net.Listen("tcp", *listen)
	if err != nil {
		fail(err)
	}
	go serialise(front, inner.Host)
	fmt.Printf("mongodb://%s/\n", front.Addr())
	select {
	case <-ctx.Done():
		front.Close()
		if err := <-done; err != nil {
			fail(err)
		}
	case err := <-done:
		fail("FerretDB ended:", err)
	}
}

func fail(reason ...any) {
	fmt.Fprintln(os.Stderr, reason...)
	os.Exit(1)
}
