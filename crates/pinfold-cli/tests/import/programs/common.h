/* What the programs share: every call that can fail ends the program if it does. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096UL

static inline long must(long result, const char *what)
{
	if (result < 0) {
		perror(what);
		_exit(1);
	}
	return result;
}

/* Private memory; nothing is touched yet. */
static inline char *pages(unsigned long count)
{
	void *at = mmap(NULL, count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED) {
		perror("mmap");
		_exit(1);
	}
	return at;
}

static inline int ring(void)
{
	struct io_uring_params params;
	memset(&params, 0, sizeof params);
	return must(syscall(SYS_io_uring_setup, 4, &params), "io_uring_setup");
}

static inline void reg(int ring, void *at, unsigned long bytes)
{
	struct iovec buffer = { at, bytes };
	must(syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &buffer, 1), "register");
}

static inline void unreg(int ring)
{
	must(syscall(SYS_io_uring_register, ring, IORING_UNREGISTER_BUFFERS, NULL, 0), "unregister");
}

static inline void kernel(void)
{
	struct utsname name;
	must(uname(&name), "uname");
}

/* A child that ends at once, and its parent's store to the buffer. */
static inline pid_t child(void)
{
	pid_t pid = must(fork(), "fork");
	if (pid == 0)
		_exit(0);
	return pid;
}

/* A file of four pages, open for direct I/O. */
static inline int direct(int flags)
{
	char page[PAGE];
	int fd = must(open("data", O_CREAT | O_TRUNC | O_WRONLY, 0600), "open data");
	memset(page, 'd', sizeof page);
	for (int i = 0; i < 4; i++)
		must(write(fd, page, sizeof page), "write data");
	fsync(fd);
	close(fd);
	return must(open("data", flags | O_DIRECT), "open data for direct I/O");
}
