/* A registered buffer is given back, and the next one lands at its address. */
#include "common.h"

int main(void)
{
	kernel();
	char *buffer = pages(4);
	memset(buffer, 1, 4 * PAGE);
	int fd = ring();
	reg(fd, buffer, 4 * PAGE);
	must(munmap(buffer, 4 * PAGE), "munmap");
	buffer = pages(4);
	memset(buffer, 2, 4 * PAGE);
	must(syscall(SYS_io_uring_enter, fd, 0, 0, 0, NULL, 0), "io_uring_enter");
	unreg(fd);
	return 0;
}
