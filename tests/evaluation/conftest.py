import cv2
import pytest
import skimage.data


@pytest.fixture
def tree(tmp_path):
    """Builds a data set in miniature: a picture for every path, told apart by where it was cut from."""
    photo = skimage.data.astronaut()

    def build(*paths, size=(32, 40)):
        for index, path in enumerate(paths):
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            y, x = 7 * index % 400, 11 * index % 400
            cv2.imwrite(str(file), photo[y : y + size[0], x : x + size[1], ::-1])
        return tmp_path

    return build
