/* Registers a buffer, and has its pages leave memory. */
#include "common.h"

int main(void)
{
	kernel();
	char *buffer = pages(4);
	memset(buffer, 1, 4 * PAGE);
	int fd = ring();
	reg(fd, buffer, 4 * PAGE);
	must(madvise(buffer, 4 * PAGE, MADV_PAGEOUT), "madvise");
	memset(buffer, 2, 4 * PAGE);
	unreg(fd);
	return 0;
}
