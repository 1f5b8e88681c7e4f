/* Registers a buffer, and takes the right to write it away for a moment. */
#include "common.h"

int main(void)
{
	kernel();
	char *buffer = pages(4);
	memset(buffer, 1, 4 * PAGE);
	int fd = ring();
	reg(fd, buffer, 4 * PAGE);
	must(mprotect(buffer, 4 * PAGE, PROT_READ), "mprotect");
	must(mprotect(buffer, 4 * PAGE, PROT_READ | PROT_WRITE), "mprotect");
	memset(buffer, 2, 4 * PAGE);
	unreg(fd);
	return 0;
}
