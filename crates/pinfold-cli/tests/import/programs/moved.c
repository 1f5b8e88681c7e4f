/* A registered buffer is moved by mremap, and the program goes on writing it. */
#include "common.h"

int main(void)
{
	kernel();
	char *room = pages(64);
	char *buffer = pages(4);
	memset(buffer, 1, 4 * PAGE);
	int fd = ring();
	reg(fd, buffer, 4 * PAGE);
	buffer = mremap(buffer, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, room);
	if (buffer == MAP_FAILED) {
		perror("mremap");
		return 1;
	}
	memset(buffer, 2, 4 * PAGE);
	unreg(fd);
	return 0;
}
